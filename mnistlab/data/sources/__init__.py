"""The sources of images that ``conf/data`` offers, one file a kind."""
