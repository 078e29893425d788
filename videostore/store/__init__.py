"""`VideoStore`: wires the parts over one storage directory."""
