"""Where an app's pictures may be before they come here: folders, buckets, Cloudinary, Redis, lists."""
