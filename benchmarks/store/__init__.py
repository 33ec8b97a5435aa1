"""How pictures get to a durable store: SeaweedFS on loopback, through the real store jobs, beside rclone and
the AWS CLI."""
