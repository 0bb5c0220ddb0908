"""`python -m adhere`, which `accelerate launch -m adhere` starts in each process."""

from adhere.cli import main

if __name__ == "__main__":
    main()
