"""Step times: what one engine step takes, part by part."""
