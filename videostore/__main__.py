"""`python -m videostore`: the command line; and the module, where viam-server names a socket."""

from videostore.cli import main

if __name__ == "__main__":
    main()
