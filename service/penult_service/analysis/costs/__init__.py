"""What a call will take, estimated from the shapes of its arrays, so that it can be refused before it is begun.

Each analysis is a few kinds of work whose amounts follow from the shapes; what one unit of a kind takes was measured
on two processors (1,000 to 100,000 rows, mostly of 384 numbers), and how this machine does each kind is in `speeds`. An
estimate is meant to be right within a factor of three in time and 1.5 in memory where iterations end as they usually
do, grows with every size, and is for a process that is warm on a machine that is idle.
"""

from penult_service.analysis.costs.of_call import cost

__all__ = ["cost"]
