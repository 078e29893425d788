"""A recorder on another machine, reached through Viam."""
