"""Dies in native code."""

import os

if __name__ == "__main__":
    os.abort()
