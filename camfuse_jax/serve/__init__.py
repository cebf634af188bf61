"""The local web page of `camfuse serve`."""
