"""Values that mean one thing: people, places, services, images, tags, changes; and every error raised on purpose."""
