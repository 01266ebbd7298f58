"""Model servers of each dialect, which speak the published protocol over a real socket."""
