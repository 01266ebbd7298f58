"""The history checker: what every client received and what PostgreSQL holds, against the invariants I1-I15.

    history = History()
    client = history.watch(await alice.connect(views=views), "alice")
    ...
    await history.settle(stack); history.check(stack, snapshots)

After Jepsen: clients only record while things break; one pure function judges afterwards (docs/reliability.md).

    I1  one client_id is one message, and what was accepted is there
    I2  one run for each thing asked (of several models, one at each place), one answer for each run, all of them at an
        end; an answer that was continued has the runs of its parts, each of which begins where the one before it ended;
        what was chosen of answers side by side is one of them
    I3  an answer in PostgreSQL is what the deltas of its last attempt add up to, for every client; one that somebody
        talked over (its run says how much was heard, and of how much) is the beginning of that, and that long; so is
        what the model thought, which nobody cuts; what a run continues stays as it was
    I4  `seq` goes up without a gap for each client and epoch, and is the same event for everybody
    I5  exactly one closing event for each attempt
    I6  what is billed is there once, for every run that ended, and for no other; the usage of an answer is that of all
        its runs
    I7  nothing reaches somebody who is no member
    I8  nothing is sent later than 2 s after access ended
    I9  events applied one by one give what a fresh snapshot gives
    I10 what rules withhold is in no frame, snapshot, message or thinking
    I11 what was accepted to wait is sent once, or still waits with a reason, or was removed; it is sent by its author,
        and not before what its author has put before it
    I12 who reads by a share link gets what the link shows of one conversation, in order, and nothing after it ended
    I13 each call of a tool has one result, the same for everybody; what writes is not repeated unless a person was
        asked; what waited for a person is made only if they allowed it; nothing of an ended run is open
    I14 what tools did outside happened once, and as it was allowed (`tests.history.effects`)
    I15 nobody gets anything of a conversation at a time when they were no member, also if they are one before or later;
        whoever is added gets what was before, which is shared with them, in a snapshot or by a resume
"""

from tests.history.data import Period, Rows, Socket, Viewer
from tests.history.invariants import find_violations
from tests.history.readers import Reader, find_reader_violations
from tests.history.records import History, fresh_snapshots

__all__ = [
    "History",
    "Period",
    "Reader",
    "Rows",
    "Socket",
    "Viewer",
    "find_reader_violations",
    "find_violations",
    "fresh_snapshots",
]
