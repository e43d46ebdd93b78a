"""From a bound query to a distributed plan. Pure: the same input gives the same bytes."""
