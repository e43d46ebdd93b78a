"""The composition root: builds a `World` and every service, starts and stops them."""
