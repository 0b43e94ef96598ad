"""``engine ctl``: looks at and changes a running engine, through its REST API."""
