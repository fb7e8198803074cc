# Nothing is near.
bert-train --zzzzqqqq=1
