"""What processes of the engine say to each other, and the socket they say it over."""
