/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Alarms of one cause, so that people read the cause once. A group is named by the number of its first alarm, which was
 * told in full. An alarm is like it if all of this holds:
 *   - same image, same kind (mean, foreign), same executable and build; unknown ones are like unknown ones only
 *   - each of its oddities was already shown in the group's alarms. An oddity is what made the alarm: for a mean, a call that
 *     training never saw after the calls before it, with just these calls before it (if there is none in the judged
 *     calls, those that cost more than the threshold allows); for a foreign call the kind of memory or the foreign
 *     ABI, the call, and the place in a file if it is in one.
 * Even then it is news, worth telling in full, if it is the group's first of this user, or after a day's silence. And its
 * episode is followed on: what no alarm of the group did is news, too. Nobody hides an attack behind a known false alarm.
 *
 * Memory is bounded: of too many groups the one silent longest is forgotten, its cause is new when it comes again.
 * Alarms and times are the caller's to number and measure. Not thread-safe per object.
 */
#ifndef IMSAFE_ALARM_GROUP_H
#define IMSAFE_ALARM_GROUP_H

#include "alarm/explain.h"

#define GROUPS_MAX         128 /* remembered at once */
#define GROUP_ODDITIES_MAX 192 /* of one group; what does not fit is news each time */
#define GROUP_USERS_MAX    8   /* told in full; of further ones only root is */
#define GROUP_PIDS_MAX     64  /* told apart when counting processes */
#define GROUP_SILENCE      86400 /* s */

enum group_news {
	NEWS_NONE,   /* like those before: a line is enough */
	NEWS_CAUSE,  /* nothing like it is known */
	NEWS_USER,   /* like others, but the first of this user */
	NEWS_AGAIN,  /* like others, after GROUP_SILENCE */
	NEWS_WENT_ON, /* an alarm told in a line went on as no alarm of its group did */
};

struct oddity {
	uint64_t where; /* foreign call in a file: SITE(module, offset), with our own numbers for modules */
	uint32_t node;  /* otherwise the context */
	uint16_t call;
	uint8_t origin; /* foreign call: EVENT_FROM() */
	uint8_t kind;
};
_Static_assert(sizeof(struct oddity) == 16, "compared as a whole");

/* Read-only outside group.c. */
struct group {
	uint64_t number;         /* its first alarm */
	uint64_t count, latest;  /* alarms, the latest one's number */
	int64_t first, last;     /* wall clock, 0 = not known */
	uint64_t first_sequence, last_sequence; /* in the stream, 0 = there is none */
	uint16_t flags;          /* enum verdict_flags: which kind of alarm */
	bool stray;              /* a foreign call from a file's code, natively */
	char *exe, *build_id;    /* "" = not known */
	char *cause;             /* in words, escaped: "made a call that ..." */
	char name[68];           /* of the program, escaped; "" = not known */
	uint32_t pids[GROUP_PIDS_MAX]; /* distinct ones */
	unsigned n_pids;         /* GROUP_PIDS_MAX: at least so many */
	uint32_t latest_pid;
	uint32_t users[GROUP_USERS_MAX];
	unsigned n_users;
	uint64_t tainted, other_exe, other_build; /* alarms near a gap, of another program or build than the profile's */
	uint64_t image;          /* checksum */
	struct oddity oddities[GROUP_ODDITIES_MAX];
	bool shown[GROUP_ODDITIES_MAX]; /* in an alarm; the others came later in the episode of one told in full */
	unsigned n_oddities;
};

struct grouping {
	const struct group *group; /* valid until the next change */
	enum group_news news;
	uint64_t alarm;            /* NEWS_WENT_ON: the alarm that did */
	bool new_user;             /* the group's first of this user, whether that is news or not */
	bool forgot;               /* another group made room: ... */
	uint64_t forgotten;        /* ... this one */
};

struct groups;

struct groups *groups_new(void); /* NULL without memory */
struct groups *groups_free(struct groups *groups);
DEFINE_CLEANUP(struct groups *, groups_free)

/* Puts an alarm into its group, a new one if need be. 0 or -ENOMEM. */
int groups_add(struct groups *groups, const struct explanation *explanation, uint64_t number, struct grouping *ret_grouping);

/*
 * A call in an open episode that training did not see, or a foreign one. True if it is news: then it is time for an
 * explanation of the episode as it stands and for groups_went_on(). Once for each alarm.
 */
bool groups_unforeseen(struct groups *groups, uint32_t tid, const struct scored_call *call, const struct policy *policy,
		       const struct modules *modules);
void groups_went_on(struct groups *groups, const struct explanation *explanation, struct grouping *ret_grouping);

/* The thread's last open episode has ended. */
void groups_closed(struct groups *groups, uint32_t tid);

/* By number, from the i-th on: NULL when there are no more. */
const struct group *groups_get(const struct groups *groups, size_t i);
uint64_t groups_forgotten(const struct groups *groups);

const char *news_name(enum group_news news); /* "cause", for programs; "" for NEWS_NONE */

#endif
