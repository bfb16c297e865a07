"""What old Keras had at other places."""

from kerata.legacy import saving as saving
