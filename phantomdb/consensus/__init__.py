"""What is wanted of groups: when to campaign. What is allowed is the core's to say."""
