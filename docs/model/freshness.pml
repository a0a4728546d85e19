/* Freshness across nodes: how late may a node accept a session that has been
   signed out elsewhere? README.md beside this file says what is modelled, what
   is assumed and what came out; script/model runs it.

   One node is watched; it could be any. Other nodes matter to it only through
   the sign-outs that they acknowledge, since nodes share nothing but the
   database. One session is watched. Every step is a statement of its own, and
   time may pass and anything else may happen between any two: that is the
   paused process, the slow network and the slow disk.

   Without options this is the protocol. Each option marked "control" breaks one
   rule, and has to fail. */

#ifndef S
#define S 3              /* max_staleness, in ticks of the node's clock */
#endif
#ifndef BOUND
#define BOUND S          /* the promise: BOUND ticks after an acknowledgement, nobody accepts */
#endif
#ifndef PROMISE
#define PROMISE 3        /* 1: the bound, on any node; 2: never again on the node that acknowledged; 3: both */
#endif

#ifdef STRICT            /* checks that always ask */
#define ASK_UNTESTED
#endif

#ifdef REACH             /* control of the model itself: a run in which all of this happens must exist */
byte did;
#define DID(b) did = did | (b); assert(did != 255)
#else
#define DID(b) skip
#endif

/* ---- Time. Ages instead of clock readings: an age grows by one at each tick
   and stays at its limit, so that there is no last tick. "Fresh until t0 + S"
   is "the age of t0 is less than S". */

#define NOT_YET 255      /* greater than any age, and never grows */
byte age = S;            /* of the t0 that is published: the node is fresh while age < S */
byte beat_age = S;       /* of the t0 of the heartbeat under way */
byte held = S;           /* of the t0 that the check under way holds in its hand */
byte since = NOT_YET;    /* ticks since the first acknowledgement of the sign-out, in true time */

#ifdef LOSE              /* clocks that lose at most one tick in LOSE */
byte steady = LOSE - 1;
#define MAY_LOSE steady == LOSE - 1
#endif
#ifdef SUSPEND           /* control: clocks that do not count the time asleep */
#define MAY_LOSE true
#endif

#define GROW(a, limit) a = (a < limit -> a + 1 : a)

active proctype time() {
  do
  :: d_step {
       GROW(age, S); GROW(beat_age, S); GROW(held, S);
       if :: since != NOT_YET -> GROW(since, BOUND) :: else fi;
#ifdef LOSE
       GROW(steady, LOSE - 1)
#endif
     }
#ifdef MAY_LOSE
  :: d_step {            /* a tick that the node's clock does not see */
       MAY_LOSE && since != NOT_YET -> GROW(since, BOUND);
#ifdef LOSE
       steady = 0
#endif
     }
#endif
  od
}

/* ---- The log. Rows are numbered from 1 without gaps. With ROWS there is also
   a row that is not about the session, so that a number can be given twice. */

#define NONE 0
#define X    1           /* row 1 is some other event */
#define E    2           /* row 1 is the sign-out */
#define XE   3
#define EX   4
#define ENDS(h)      ((h) >= E)
#define COUNT(h)     ((h) == NONE -> 0 : ((h) <= E -> 1 : 2))
#define PREFIX(g, h) ((g) == NONE || (g) == (h) || ((g) == X && (h) == XE) || ((g) == E && (h) == EX))
#define ADD_E(h)     ((h) == NONE -> E : ((h) == X -> XE : (h)))
#define ADD_X(h)     ((h) == NONE -> X : ((h) == E -> EX : (h)))

/* ---- The databases: the primary, and another one, which is its standby or an
   old primary that some still reach. A promotion makes them change places. */

#define PRIMARY 0
#define OTHER   1
byte wal[2];             /* what is on the disk of each */
byte seen[2];            /* what its readers see: less, while a standby has not replayed or a commit waits; and
                            more than is confirmed, once such a wait was cancelled */
bool standby = true;     /* the other one is a standby; if not, an old primary */

/* The node's connection for heartbeats, and the one of the sign-out under way. */
#define BEAT 0
#define OUT  1
mtype = { idle, open, waiting, confirmed, cut };
mtype commit[2] = idle;
bit at[2];               /* the database it leads to */

inline connect(i) {      /* to whoever takes writes */
  if :: at[i] = PRIMARY :: !standby -> at[i] = OTHER fi
}
/* A commit waits for the standby's word. A new primary without a standby needs
   none; an old primary waits for a word that never comes. */
inline send(i)    { commit[i] = (at[i] == PRIMARY && !standby -> confirmed : waiting) }
inline hang_up(i) { commit[i] = idle; at[i] = PRIMARY }

#define HEAR(i)   if :: commit[i] == waiting && at[i] == PRIMARY -> commit[i] = confirmed :: else fi
#define FOLLOW(i) if :: commit[i] != idle && commit[i] != cut -> at[i] = 1 - at[i] :: else fi
#define CUT(i)    if :: commit[i] != idle && at[i] == OTHER -> commit[i] = cut; at[i] = PRIMARY :: else fi
#define SWAP(a)   tmp = a[PRIMARY]; a[PRIMARY] = a[OTHER]; a[OTHER] = tmp

active proctype databases() {
  byte tmp;
  do
  :: d_step {            /* the standby has the whole log on its disk, and says so */
       standby -> wal[OTHER] = wal[PRIMARY]; HEAR(BEAT); HEAR(OUT)
     }
  :: d_step {
       seen[PRIMARY] != wal[PRIMARY] -> seen[PRIMARY] = wal[PRIMARY];
       printf("readers of the primary see log %d\n", wal[PRIMARY])
     }
  :: d_step {
       seen[OTHER] != wal[OTHER] -> seen[OTHER] = wal[OTHER];
       printf("readers of the other see log %d\n", wal[OTHER])
     }
#ifdef ROWS
  :: d_step { wal[PRIMARY] != ADD_X(wal[PRIMARY]) -> wal[PRIMARY] = ADD_X(wal[PRIMARY]) }
  :: d_step {            /* an old primary takes rows that nobody will ever confirm */
       !standby && wal[OTHER] != ADD_X(wal[OTHER]) -> wal[OTHER] = ADD_X(wal[OTHER])
     }
#endif
#ifdef TWO_STANDBYS      /* control: a second standby that nobody cut off still gives the old primary its word */
  :: d_step { !standby && commit[BEAT] == waiting -> commit[BEAT] = confirmed }
#endif
  :: d_step {            /* promotion: the standby opens once it has replayed all it has */
       standby -> standby = false;
       SWAP(wal); SWAP(seen); seen[PRIMARY] = wal[PRIMARY]; tmp = 0;
       FOLLOW(BEAT); FOLLOW(OUT); DID(1);
       printf("the standby is promoted; the old primary still answers\n")
     }
#ifndef ONCE             /* with ONCE there is one failover and no way back */
  :: d_step {            /* the old primary is rewound and becomes the standby: its connections are cut */
       !standby -> standby = true;
       wal[OTHER] = wal[PRIMARY]; seen[OTHER] = NONE;
       CUT(BEAT); CUT(OUT); DID(2);
       printf("the old primary is now the standby\n")
     }
#endif
  od
}

/* ---- The watched node's memory. */

mtype = { absent, live, ended };
mtype entry = live;      /* the session: not loaded, usable, ended */
byte applied;            /* the log as applied: the last number, and which row that was */
byte own;                /* a sign-out that this node committed: 1, and 2 once a heartbeat has begun since */
bool said;               /* this node has acknowledged one */
byte asked;              /* with ASK_UNTESTED, a check waits for a heartbeat: 1 to begin, 2 to end, 3 it has */
bool sure;               /* with ASK_UNTESTED or CLOCK_FIRST, the check under way will not look at the clock */

inline end_it() { if :: entry == live -> entry = ended :: else fi }

inline apply(h) {
  if
#ifdef NUMBERS_ONLY      /* control: a row is known by its number alone */
  :: COUNT(h) <= COUNT(applied)
  :: COUNT(h) > COUNT(applied) ->
     if :: ENDS(h) && !(h == EX && applied != NONE) -> end_it() :: else fi;
     applied = h
#else
  :: PREFIX(applied, h) ->
     if :: ENDS(h) -> end_it() :: else fi;
     applied = h
  :: else ->             /* another history: forget everything, to be loaded again, except "own" */
     applied = h; entry = absent; DID(4);
#ifdef READ_FIRST
     assert(false);      /* never: what is read before a commit that is confirmed, is confirmed with it */
#endif
     printf("node: this is another history; start afresh\n");
#ifdef RELOAD_BLIND      /* control: "own" too */
     own = 0
#endif
#endif
  fi
}

/* ---- The node follows the log: heartbeats, one at a time, and reads in between. */

#ifdef WAKE_RELOADS      /* control: a read in between may also start afresh */
#define MAY_READ(d) seen[d] != applied
#else
#define MAY_READ(d) seen[d] != applied && PREFIX(applied, seen[d])
#endif

#ifdef ASK_ANY           /* control: a heartbeat that had begun before the check asked */
#define BEGUN 1
#else
#define BEGUN 2
#endif

active proctype heartbeat() {
  byte got;
again:
  do
#ifndef READ_FIRST       /* woken, or polling: a bare read of anybody, which makes nothing fresh and may only add */
  :: d_step { MAY_READ(PRIMARY) -> apply(seen[PRIMARY]); printf("node: reads the primary's log %d\n", applied) }
  :: d_step { MAY_READ(OTHER) -> apply(seen[OTHER]); printf("node: reads the other's log %d\n", applied) }
#endif
  :: d_step {            /* t0: the clock is read before anything is sent */
#ifndef STAMP_LATE
       beat_age = 0;
#endif
       own = (own -> 2 : 0); asked = (asked == 1 -> 2 : asked);
       printf("heartbeat: t0\n")
     }
#ifdef READ_FIRST        /* the log is read in the transaction that writes the node's row */
     atomic { connect(BEAT); commit[BEAT] = open; got = seen[at[BEAT]] }
     if
     :: d_step { commit[BEAT] == open -> send(BEAT) }
     :: atomic { hang_up(BEAT); beat_age = S; got = NONE; goto again }
     fi;
     if
     :: d_step { commit[BEAT] == confirmed -> hang_up(BEAT) }
#else
     atomic {            /* the node's own row is written, and its commit sent */
       connect(BEAT);
#ifdef BARE_READ         /* control: nothing is written */
       commit[BEAT] = confirmed;
#else
       send(BEAT);
#endif
       printf("heartbeat: sent to %d (0 primary, 1 other)\n", at[BEAT])
     }
     if
     :: atomic {         /* confirmed: the log is read up to its head, on this connection */
          commit[BEAT] == confirmed ->
#ifdef REPLICA           /* control: on a connection to a replica */
          at[BEAT] = OTHER;
#endif
#ifdef RECONNECT         /* control: on another connection */
          connect(BEAT);
#endif
          got = seen[at[BEAT]];
          printf("heartbeat: confirmed; log %d read from %d\n", got, at[BEAT]);
          hang_up(BEAT);
#ifdef STAMP_LATE        /* control: the clock is read now */
          beat_age = 0
#endif
        }
#ifdef CANCELLED_BEAT    /* control: a cancelled wait passes for a confirmation */
     :: atomic { commit[BEAT] == waiting -> got = seen[at[BEAT]]; hang_up(BEAT) }
#endif
#endif
     :: atomic {         /* lost, cancelled or too late: nothing is known by it */
          hang_up(BEAT); beat_age = S; got = NONE;
          if
          :: true
          :: printf("node: restarted\n"); DID(8);
             age = S; applied = NONE; own = 0;                   /* a restart, from nothing or from an old snapshot, */
             if :: entry = live :: entry = absent fi;
             held = S; sure = false; asked = (asked -> 1 : 0)    /* which no check under way survives */
          fi;
          goto again
        }
     fi;
#ifndef PUBLISH_FIRST
     d_step { apply(got); got = NONE }
#endif
     d_step {            /* published only now: who sees this t0 sees all that was applied */
       age = beat_age; beat_age = S;
       own = (own == 2 -> 0 : own); asked = (asked >= BEGUN -> 3 : asked);
       printf("heartbeat: published, %d old\n", age)
     }
#ifdef PUBLISH_FIRST     /* control: the other way round */
     ; d_step { apply(got); got = NONE }
#endif
  od
}

/* ---- Sign-outs, tried again until one can be acknowledged. */

inline learn() { if :: here -> d_step { own = 1; end_it() } :: else fi }

active proctype sign_out() {
  bool here;             /* at the watched node, or at any other */
again:
  do
#ifdef FROM_MEMORY       /* control: asked to end what its memory calls ended, the node says that it is done */
  :: d_step {
       !said && (own || entry == ended) ->
       if :: since == NOT_YET -> since = 0 :: else fi;
       said = true; printf("sign-out: acknowledged, from memory\n")
     }
#endif
  :: atomic {
       !said ->
       if :: here = true :: here = false fi;
       connect(OUT);
       if
#ifdef NO_TOUCH          /* control: a retry that finds the session ended writes nothing, so it waits for nobody */
       :: ENDS(seen[at[OUT]]) -> commit[OUT] = confirmed
#endif
       :: wal[at[OUT]] = ADD_E(wal[at[OUT]]); send(OUT)
       fi;
       printf("sign-out: sent to %d (0 primary, 1 other)\n", at[OUT])
     }
     if
     :: d_step { commit[OUT] == confirmed -> seen[at[OUT]] = wal[at[OUT]]; hang_up(OUT) }
#ifdef CANCELLED_OUT     /* control: a cancelled wait passes for a confirmation */
     :: d_step { commit[OUT] == waiting -> hang_up(OUT) }
#endif
     :: atomic {         /* unknown, so not acknowledged */
          hang_up(OUT); here = false; printf("sign-out: given up, outcome unknown\n"); goto again
        }
     fi;
#ifndef SAY_FIRST
     learn();
#endif
     d_step {            /* the reply is sent */
       if :: since == NOT_YET -> since = 0 :: else fi;
       said = here;
       printf("sign-out: acknowledged, by the node %d\n", here)
     }
#ifdef SAY_FIRST         /* control: the node's own memory comes after the reply */
     learn();
#endif
     here = false
  od
}

/* ---- Checks. */

#ifdef LOAD_BY_NUMBER    /* control: "no later row covers it" by number alone */
#define LOADABLE(h) (!ENDS(h) && !own && !(COUNT(h) == 0 && ENDS(applied)) && !(COUNT(h) == 1 && applied == XE))
#else
#define LOADABLE(h) (!ENDS(h) && !own && PREFIX(h, applied) && !ENDS(applied))
#endif

/* What counts is the moment of admission; with FROM_ARRIVAL, that at which the
   check began. */
#ifdef FROM_ARRIVAL
#define LATE late
#else
#define LATE (since != NOT_YET && since >= BOUND)
#endif

active proctype check() {
  bool after;            /* it began after this node had acknowledged */
  bool late;             /* it began when nobody should accept any more */
  byte h;
again:
  do
  :: d_step {                                                /* 1. take the published t0 */
       after = said;
#ifdef FROM_ARRIVAL
       late = since != NOT_YET && since >= BOUND;
#endif
#ifdef STRICT
       held = S;
#else
       held = age;
#endif
       printf("check: begins, t0 is %d old\n", held)
     }
look:
#ifdef CLOCK_FIRST       /* control: the clock before memory */
     if :: d_step { held < S -> sure = true } :: held >= S -> goto stale fi;
#endif
     if                                                      /* 2. look into memory */
     :: atomic { own || entry == ended -> DID(16); goto over }                   /* refused: signed out */
     :: !own && entry == live -> printf("check: memory says live\n")
     :: !own && entry == absent ->
        if                                                   /* load it, from anywhere, with the log of that snapshot */
        :: d_step { h = seen[PRIMARY]; printf("check: loads the session, as of log %d\n", h) }
        :: d_step { h = seen[OTHER]; printf("check: loads the session, as of log %d\n", h) }
        fi;
        if                                                   /* insert it only if that log is the beginning of the */
                                                             /* applied one, and no row since covers it */
        :: d_step { LOADABLE(h) -> h = NONE; DID(32); entry = (entry == absent -> live : entry) }
        :: atomic { !LOADABLE(h) -> h = NONE; goto over }
        fi
     fi;
#ifdef T0_LATE           /* control: t0 after memory */
     held = age;
#endif
     if                                                      /* 3. read the clock: this is the moment of admission */
     :: atomic {
          held < S || sure ->
          printf("check: accepted, t0 is %d old, acknowledged since %d\n", held, since);
#if PROMISE & 1
          assert(!LATE);
#endif
#if PROMISE & 2
          assert(!after);
#endif
          DID((since == NOT_YET -> 0 : 64)); goto over
        }
     :: else
     fi;
stale:
#ifdef ASK_UNTESTED      /* a heartbeat begun since, then memory, and no clock */
     asked = 1;
     if
     :: atomic { asked == 3 -> asked = 0; sure = true; goto look }
#else
     if
     :: atomic { held = age; goto look }                     /* ask: when another heartbeat is published, the same again */
#endif
     :: atomic { DID(128); asked = 0; goto over }            /* refused: cannot know */
     fi;
over:
     atomic { held = S; after = false; late = false; sure = false }
  od
}
