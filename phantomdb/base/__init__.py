"""The ground: errors, settings, ids, the `World` that simulation replaces."""
