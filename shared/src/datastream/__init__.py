"""What the Datastream services share."""
