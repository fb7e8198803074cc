# Version, compiler and engine.
bert-train --version
