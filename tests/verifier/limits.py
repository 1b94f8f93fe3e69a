"""Whether what was released kept the limits that were in force.

A signature was decided on at a time between its two leaves, whose times are those of the replicas' clocks: up to CLOCKS
milliseconds from the database's. Nothing is held against it that was allowed at any such time.
"""

import bisect
import heapq
import uuid
from decimal import Decimal

from legality import read

CLOCKS = 10_000
DECIDED = 1_000  # so much earlier than its leaf it may have been decided
HANDED_OUT = 10_000  # a token leaves within this of its leaf
PROMPT = 1_000  # what took longer is not judged by its pace
MOST = (1 << 62) - 1

# The amounts that each kind of use is counted in, the window of each, and its pace.
WINDOWS = {
    "order": {"notional_1m": 60_000, "notional_1h": 3_600_000, "notional_24h": 86_400_000},
    "l1-header": {"l1_headers_24h": 86_400_000},
    "withdrawal": {"withdrawals_1h": 3_600_000, "withdrawals_24h": 86_400_000},
    "assertion": {},
    "token": {},
}
PACES = {"order": "orders", "assertion": "assertions", "token": "access_tokens"}


class Signed:
    """Where its intent stands, when it was decided on, and what was at stake."""

    def __init__(self, index, at, caller, key, what, stake, request=None):
        self.index, self.start, self.end = index, at, at
        self.caller, self.key = (str(uuid.UUID(bytes=it)) for it in (caller, key))
        self.what, self.stake, self.request = what, stake, request
        self.amount = min(stake.get("cash", 1), (1 << 63) - 1)

    def scopes(self):
        yield "global:all"
        yield f"caller:{self.caller}"
        yield f"key:{self.key}"
        yield f"caller-key:{self.caller},{self.key}"
        if "wallet" in self.stake:
            yield f"wallet:{self.stake['wallet']}"
        if "token" in self.stake:
            yield f"market:{self.stake['token']}"


def stake_of(operation, subject, record):
    """What kind of use it is, and what limits look at; None where nothing is limited, or it says too little."""
    try:
        return limited(operation, subject, read(record))
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def limited(operation, subject, record):
    wallet = {"wallet": str(uuid.UUID(bytes=subject))}
    if operation == "assertion" and record.get("errand") is None:
        return "assertion", {}
    if operation == "clob-auth" and record.get("handedOut") is True:
        return "l1-header", wallet
    if operation == "wallet-operation" and "outflow" in record:
        return "withdrawal", wallet | {"cash": int(record["outflow"])}
    if operation != "order" or "struct" not in record:
        return None
    signed, unsigned = record["struct"], record.get("unsigned", {})
    amounts = int(signed["makerAmount"]), int(signed["takerAmount"])
    cash, shares = amounts if signed["side"] == 0 else reversed(amounts)
    return "order", wallet | {
        "token": str(int(signed["tokenId"])),
        "side": "BUY" if signed["side"] == 0 else "SELL",
        "cash": cash,
        "shares": shares,
        "expiration": int(signed.get("expiration", unsigned.get("expiration", "0"))),
        "rests": unsigned.get("rests") is not False,
        "again": unsigned.get("again") is True,
        "book": unsigned.get("book"),
    }


def within(band, order):
    paid = order["cash"] * 1_000_000
    low, high = (int(Decimal(band[it]) * 1_000_000) for it in ("min", "max"))
    return low * order["shares"] <= paid <= high * order["shares"]


def near_the_book(collar, order, now):
    book = order["book"]
    if book is None or not 0 <= now - book["atMs"] <= collar["max_age_ms"]:
        return "without_book" in collar and within(collar["without_book"], order)
    best, beyond = Decimal(book["best"]), Decimal(collar["beyond"])
    if order["side"] == "BUY":
        most = int(min(best + beyond, 1) * 1_000_000)
        return order["cash"] * 1_000_000 <= most * order["shares"]
    least = int(max(best - beyond, 0) * 1_000_000)
    return order["cash"] * 1_000_000 >= least * order["shares"]


def counter(limits, what):
    """Whether such uses are counted."""
    amounts = [*WINDOWS[what], *(["open_exposure"] if what == "order" else [])]
    return any(it in limits for it in amounts) or PACES.get(what) in limits


def kept(limits, signed, now):
    """Whether it keeps to what needs no counter."""
    it = signed.stake
    if signed.what == "withdrawal":
        most = int(limits.get("withdrawal", MOST if counter(limits, "withdrawal") else it["cash"]))
        return it["cash"] <= most
    if signed.what != "order":
        return True
    ahead = it["expiration"] - now // 1000
    return (
        it["token"] not in limits.get("token_ids_denied", [])
        and it["token"] in limits.get("token_ids_allowed", [it["token"]])
        and it["side"] in limits.get("sides", [it["side"]])
        and it["cash"] <= int(limits.get("order_notional", it["cash"]))
        and ("price" not in limits or within(limits["price"], it))
        and ("collar" not in limits or near_the_book(limits["collar"], it, now))
        and (it["expiration"] or not it["rests"] or "expiration_max_s" not in limits)
        and (not it["expiration"] or ahead <= limits.get("expiration_max_s", ahead))
        and (not it["expiration"] or ahead >= limits.get("expiration_min_s", ahead))
        and (it["cash"] <= MOST or not counter(limits, "order"))
    )


class Limits:
    def __init__(self, report):
        self.report, self.eras, self.begun = report, {}, {}
        self.counted, self.doubtful, self.apart = {}, [], {}

    def hear(self, index, at, kind, event):
        if kind == 5 and event[1] in ("set-limits", "remove-limits"):
            details = read(event[4])
            limits = details["after"] if event[1] == "set-limits" else None
            eras = self.eras.setdefault(details["scope"], [])
            bisect.insort(eras, (at, limits), key=lambda it: it[0])
        if not self.eras:
            return
        if kind == 0:
            stake = stake_of(event[1], event[4], event[11])
            if stake:
                request = event[8] if event[9] is not None else None
                self.begun[event[0]] = Signed(index, at, event[2], event[5], *stake, request)
        elif kind == 1 and event[0] in self.begun:
            signed = self.begun.pop(event[0])
            signed.end = at
            self.ends(signed)
        elif kind in (2, 3):
            self.begun.pop(event[0], None)
        elif kind == 6:
            signed = Signed(index, at, event[4], event[2], "token", {})
            signed.end = at + HANDED_OUT
            self.ends(signed)

    def around(self, scope, signed):
        """The limits in which it may have been decided, from when on; none where that is not known."""
        eras = self.eras.get(scope, [])
        first = bisect.bisect_right(eras, signed.start - CLOCKS, key=lambda it: it[0]) - 1
        end = bisect.bisect_right(eras, signed.end + CLOCKS, key=lambda it: it[0])
        return eras[first:end] if first >= 0 else []

    def refused(self, scope, signed):
        eras = self.around(scope, signed)
        moments = (signed.start, signed.start - DECIDED)
        return bool(eras) and not any(
            limits is None or any(kept(limits, signed, at) for at in moments) for _, limits in eras
        )

    def kept_apart(self, signed):
        """For how many seconds the same request is kept from it."""
        if signed.what != "order" or signed.stake["again"]:
            return 0
        each = (self.around(scope, signed) for scope in signed.scopes())
        least = (min((it or {}).get("repeat_after_s", 0) for _, it in eras) for eras in each if eras)
        return max(least, default=0)

    def ends(self, signed):
        known = [scope for scope in signed.scopes() if scope in self.eras]
        for scope in known:
            if any(limits and counter(limits, signed.what) for _, limits in self.eras[scope]):
                self.counted.setdefault((scope, signed.what), []).append(signed)
        if any(self.refused(scope, signed) for scope in known):
            self.doubtful.append(signed)
        if signed.what == "order" and signed.request and not signed.stake["again"]:
            every = (limits or {} for scope in known for _, limits in self.eras[scope])
            if any("repeat_after_s" in limits for limits in every):
                self.apart.setdefault((signed.caller, signed.request), []).append(signed)

    def end(self):
        doubtful = self.doubtful
        wrong = {it.index for it in doubtful if any(self.refused(on, it) for on in it.scopes())}
        for (scope, what), signed in self.counted.items():
            wrong |= self.weigh(scope, what, signed)
        for same in self.apart.values():
            same = [it for it in same if self.kept_apart(it)]
            same.sort(key=lambda it: (it.start, it.index))
            for one, other in zip(same, same[1:]):
                between = max(one.end, other.end) - one.start + 2 * CLOCKS
                if between < self.kept_apart(one) * 1000:
                    wrong.add(other.index)
        for index in sorted(wrong):
            self.report.fault("limit", index)

    def weigh(self, scope, what, signed):
        """What exceeds a window or the pace, of all that was counted while there was something to count in."""
        wrong, judged = set(), []
        for it in signed:
            eras = self.around(scope, it)
            if eras and all(limits and counter(limits, what) for _, limits in eras):
                judged.append((it, eras))
        judged.sort(key=lambda pair: (pair[0].end, pair[0].start, pair[0].index))
        for name, width in WINDOWS[what].items():
            if not any(name in (limits or {}) for _, limits in self.eras[scope]):
                continue
            inside, total = [], 0
            for it, eras in judged:
                heapq.heappush(inside, (it.start, it.index, it.amount))
                total += it.amount
                since = it.end - width + 2 * CLOCKS
                while inside and inside[0][0] < since:
                    total -= heapq.heappop(inside)[2]
                if it.start >= since and all(name in limits for _, limits in eras):
                    if total > max(int(limits[name]) for _, limits in eras):
                        wrong.add(it.index)
        return wrong | self.pace(what, judged) if what in PACES else wrong

    def pace(self, what, judged):
        """An even pace and so many at once, in microseconds, in each era for itself."""
        wrong, began, paced = set(), None, 0
        stretch = HANDED_OUT if what == "token" else PROMPT
        prompt = [pair for pair in judged if pair[0].end - pair[0].start <= stretch]
        for it, eras in sorted(prompt, key=lambda pair: (pair[0].start, pair[0].index)):
            if len(eras) != 1 or PACES[what] not in eras[0][1]:
                continue
            now = it.start * 1000
            if began != eras[0][0]:
                began, paced = eras[0][0], now
            allowed = eras[0][1][PACES[what]]
            every = 1_000_000 // allowed["per_s"]
            due = max(paced, now) + every
            if due > now + allowed["burst"] * every + (2 * CLOCKS + stretch) * 1000:
                wrong.add(it.index)
            else:
                paced = due
        return wrong
