/* Freshness at one remove: a verifier in an app's own process, fed by the event
   stream of a node. README.md beside this file says what came out.

   freshness.pml shows what a node's published t0 is worth: whatever was
   acknowledged before t0 is in its memory. That is all that is assumed of nodes
   here. There are two, since a verifier that loses one goes to another.

   The verifier asks, and the node's reply carries the age of the node's t0.
   Options marked "control" break one rule each, and have to fail. */

#ifndef S
#define S 3              /* max_staleness, in ticks */
#endif
#ifndef BOUND
#define BOUND S          /* the promise: BOUND ticks after an acknowledgement, no verifier accepts */
#endif

#if BOUND > S
#define FAR BOUND
#else
#define FAR S            /* further back than any t0 that still counts */
#endif

#ifdef REACH             /* control of the model itself: a run in which all of this happens must exist */
byte did;
#define DID(b) did = did | (b); assert(did != 63)
#else
#define DID(b) skip
#endif

/* ---- Time, in ages, as in freshness.pml. */

#define NOT_YET 255
byte since = NOT_YET;    /* the acknowledgement of the sign-out */
byte node_age[2] = S;    /* of the t0 that each node has published */
byte ask_age = S;        /* of the verifier's t0: its clock before the question is sent */
byte age = S;            /* of the t0 that the verifier goes by: fresh while age < S */
byte held = S;           /* of the one that a check holds in its hand */

#define GROW(a, limit) a = (a < limit -> a + 1 : a)
#define SUM(a, b) ((a) + (b) < S -> (a) + (b) : S)

active proctype time() {
  do
  :: d_step {
       GROW(node_age[0], S); GROW(node_age[1], S);  GROW(ask_age, S); GROW(age, S); GROW(held, S);
       if :: since != NOT_YET -> GROW(since, FAR) :: else fi
     }
  od
}

active proctype sign_out() { d_step { since = 0; printf("sign-out: acknowledged\n") } }

/* ---- Nodes. */

bool ended[2];           /* what the memory of each says */

/* A heartbeat is applied and published, and its t0 is b old: what was
   acknowledged before that is in memory; what came later may be, and so may
   what never will be acknowledged. */
#define PUBLISH(b, e) \
  d_step { \
    b < S && b <= node_age[i] && (e || since == NOT_YET || since <= b) -> \
    node_age[i] = b; ended[i] = e; printf("node %d: fresh by a t0 that is %d old, ended %d\n", i, b, e) \
  }

active [2] proctype node() {
  byte i = _pid - 2;
  do
  :: PUBLISH(0, false) :: PUBLISH(1, false) :: PUBLISH(2, false)
  :: PUBLISH(0, true)  :: PUBLISH(1, true)  :: PUBLISH(2, true)
  od
}

/* ---- The verifier: one question at a time. */

bool gone;               /* what the verifier's memory says */

active proctype verifier() {
  bit n;                 /* the node that it asks */
  bool news;             /* the events in the reply: everything that node has applied */
  byte a;                /* the age in the reply */
again:
  do
  :: atomic {
       if :: n = 0 :: n = 1 fi;
       ask_age = 0; printf("verifier: t0, asks node %d\n", n)
     }
#ifdef AGE_LATE          /* control: the node takes its events first and its t0 afterwards */
     news = ended[n];
     a = node_age[n];
#else
     a = node_age[n];                                    /* the node takes its published t0 (its age by the */
     news = ended[n];                                    /* clock now or later), and then its events */
#endif
#ifdef NO_AGE            /* control: the node says that it is fresh, not since when */
     a = (a < S -> 0 : S);
#endif
     printf("node %d: replies, ended %d, age %d\n", n, news, a);
     if
     :: atomic { ask_age = S; n = 0; news = false; a = 0; DID(1); goto again }     /* lost */
#ifdef STAMP_LATE        /* control: the verifier's t0 is the receipt, as with a stream that nobody asked for */
     :: ask_age = 0
#endif
#ifdef OLDER             /* control: whatever comes is believed */
     :: true
#else
     :: SUM(ask_age, a) < age                            /* a reply that is not newer than what it has is dropped */
     :: atomic { SUM(ask_age, a) >= age -> ask_age = S; n = 0; news = false; a = 0; DID(2); goto again }
#endif
     fi;
#ifdef OVERTAKE          /* control: the reply comes before the events that it speaks of */
     d_step { age = SUM(ask_age, a); ask_age = S };
     d_step { gone = news; n = 0; news = false; a = 0 }
#else
     d_step { gone = news; printf("verifier: applies, ended %d\n", gone) }
     d_step {                                            /* fresh until its own t0 + S - a */
       age = SUM(ask_age, a); ask_age = S; n = 0; news = false; a = 0;
       printf("verifier: fresh by a t0 that is %d old\n", age)
     }
#endif
  od
}

/* ---- Checks: t0, memory, clock, as in a node. */

active proctype check() {
  do
  :: d_step { held = age; printf("check: begins, t0 is %d old\n", held) }
     if
     :: d_step { gone -> held = S; DID(4) }              /* refused: signed out */
     :: !gone ->
        if
        :: d_step {
             held < S ->
             printf("check: accepted, t0 is %d old, acknowledged since %d\n", held, since);
             DID((since == NOT_YET -> 8 : 16));
             assert(since == NOT_YET || since < BOUND); held = S
           }
        :: d_step { held >= S -> DID(32) }               /* refused: cannot know */
        fi
     fi
  od
}
