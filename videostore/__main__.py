"""`python -m videostore SOCKET`: the module, as viam-server starts it."""

from videostore.viam.module import main

if __name__ == "__main__":
    main()
