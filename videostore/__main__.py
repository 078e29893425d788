"""`python -m videostore`: the command line, or the Viam module if viam-server passes a socket."""

from videostore.cli import main

if __name__ == "__main__":
    main()
