"""What runs inside the operator's image, for the scripts of deploy/bin."""
