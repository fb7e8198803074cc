# A flag file that is not there.
bert-train --flagfile=nowhere.txt
