"""evalscope's sets over a server of ours."""
