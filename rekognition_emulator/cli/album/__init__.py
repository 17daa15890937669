"""``index-album``: a collection follows a folder of images, here or in S3, through the public API."""
