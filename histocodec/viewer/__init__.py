"""A page in the browser that shows containers, and a Deep Zoom server for other pages."""
