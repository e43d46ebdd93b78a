"""Which nodes are a cluster: formation, members, what is known of their health."""
