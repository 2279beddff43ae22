; Every row adds its number to itself.
LOAD planes d=0:4
LOAD planes d=4:4
SYNC 0
ADD a=0:4 b=4:4 d=8
STORE planes a=4:5
HALT
