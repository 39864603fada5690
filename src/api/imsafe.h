/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libimsafe: watch an application's system calls against a learned profile, from a program of your own.
 *
 *   struct imsafe_profile *profile;   imsafe_profile_open("ftpd.db", &profile, &error);
 *   struct imsafe_watch *watch;       imsafe_watch_new(profile, NULL, &callbacks, &watch, &error);
 *   struct imsafe_source *source;     imsafe_source_open_trace("today.imt", &source, &error);
 *   while (imsafe_source_dispatch(source, watch, &error) > 0)
 *           ;
 *
 * Functions return 0 or more on success and a negative errno on failure; then error, if not NULL, says in one line what is
 * wrong and what to do. Outputs come last and are written only on success. The library prints nothing, installs no
 * signal handlers, starts no threads and keeps no globals. One object is used by one thread at a time; different objects
 * are independent (a profile may be shared by any number of watches).
 */
#ifndef IMSAFE_H
#define IMSAFE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define IMSAFE_API __attribute__((visibility("default")))

struct imsafe_error {
	char text[1280]; /* "file:line: what is wrong", escaped, without a newline */
};

/* "0.1.0" */
IMSAFE_API const char *imsafe_version(void);

/* ---- Profiles ---- */

struct imsafe_profile;

/* Opens a profile made by 'imsafe learn' and freezes it for scoring. The caller's; imsafe_profile_close() frees it. */
IMSAFE_API int imsafe_profile_open(const char *path, struct imsafe_profile **ret_profile, struct imsafe_error *error);
IMSAFE_API void imsafe_profile_close(struct imsafe_profile *profile); /* NULL is fine */

IMSAFE_API const char *imsafe_profile_application(const struct imsafe_profile *profile); /* path, or NULL */
IMSAFE_API unsigned imsafe_profile_length(const struct imsafe_profile *profile);         /* sequence length in calls */

/* ---- Watching ---- */

#define IMSAFE_MEANS 3

/* How to judge. All zero is a good start: the automatic threshold, for an alarm in at most 1 % of normal sessions. */
struct imsafe_settings {
	double threshold;                  /* percent of normality; 0 = automatic */
	double rate;                       /* for the automatic threshold: share of sessions that may alarm; 0 = 0.01 */
	unsigned mean_length[IMSAFE_MEANS]; /* in calls, at most 1024; all 0 = the default */
	bool sequences;                    /* judge by learned k-sequences (stide) instead of the predictor */
	bool allow_foreign;                /* no alarm for calls from memory that should not make any */
};

/* One scored call. Borrowed by the callback. */
struct imsafe_call {
	uint64_t sequence;  /* number of the call in the stream, from 1 */
	uint32_t tid;
	uint16_t call;      /* its number in the syscall table */
	const char *name;   /* its name, NULL if the table has none */
	double normality;   /* of this call, in percent */
	double mean;        /* the running mean after it, in percent */
	bool seen;          /* training has this call after these calls before it */
	bool foreign;
};

/* One alarm, one episode. Borrowed by the callback. */
struct imsafe_alarm {
	uint64_t sequence;
	uint32_t tid, pid;  /* pid 0 = not known */
	bool foreign;       /* a call from where none should come; else low normality */
	bool tainted;       /* calls were lost shortly before: trust it less */
	const char *text;   /* the explanation for people, several lines, escaped */
	const char *json;   /* the same for programs */
};

struct imsafe_callbacks {
	void (*call)(void *data, const struct imsafe_call *call); /* every call; may be NULL */
	void (*alarm)(void *data, const struct imsafe_alarm *alarm); /* may be NULL */
	void *data;
};

struct imsafe_stats {
	uint64_t calls, alarms, gaps, lost;
	uint64_t threads; /* alive now */
};

struct imsafe_watch;

/*
 * A watch scores one application's events against a profile, which must stay open until the watch is freed. settings
 * and callbacks may be NULL and are copied. -ENODATA: the automatic threshold has too little training data to go by.
 */
IMSAFE_API int imsafe_watch_new(struct imsafe_profile *profile, const struct imsafe_settings *settings,
				const struct imsafe_callbacks *callbacks, struct imsafe_watch **ret_watch,
				struct imsafe_error *error);
IMSAFE_API void imsafe_watch_free(struct imsafe_watch *watch); /* NULL is fine */
IMSAFE_API void imsafe_watch_stats(const struct imsafe_watch *watch, struct imsafe_stats *ret_stats);

/* In one sentence: the threshold in use and, if it is automatic, the false-alarm rate it promises and why. */
IMSAFE_API const char *imsafe_watch_threshold_text(const struct imsafe_watch *watch);

/* Events of your own, if you have a source of calls that ImSafe does not know. 0 or -ENOMEM. */
IMSAFE_API int imsafe_watch_call(struct imsafe_watch *watch, uint32_t tid, uint16_t call);
IMSAFE_API int imsafe_watch_fork(struct imsafe_watch *watch, uint32_t parent, uint32_t tid);
IMSAFE_API int imsafe_watch_exec(struct imsafe_watch *watch, uint32_t tid);
IMSAFE_API int imsafe_watch_exit(struct imsafe_watch *watch, uint32_t tid);
IMSAFE_API int imsafe_watch_gap(struct imsafe_watch *watch, uint32_t tid, uint64_t lost); /* tid 0: any thread */

/* ---- Sources ---- */

struct imsafe_source;

/* A trace file in any format that 'imsafe' reads; "-" is stdin. */
IMSAFE_API int imsafe_source_open_trace(const char *path, struct imsafe_source **ret_source,
					struct imsafe_error *error);
/* A running process with all its threads and the children it will have. sensor: "ptrace", "ebpf", NULL = the best one. */
IMSAFE_API int imsafe_source_open_pid(pid_t pid, const char *sensor, struct imsafe_source **ret_source,
				      struct imsafe_error *error);
/* A command to be started, with its children. argv ends with NULL. */
IMSAFE_API int imsafe_source_open_command(char *const argv[], const char *sensor, struct imsafe_source **ret_source,
					  struct imsafe_error *error);
IMSAFE_API void imsafe_source_close(struct imsafe_source *source); /* detaches; the application goes on. NULL is fine */

/* For a main loop: readable when dispatch has something to do; -1 = always ready (a trace file). */
IMSAFE_API int imsafe_source_fd(struct imsafe_source *source);

/* Scores what there is, without waiting. 1: there may be more, 0: the application or the trace has ended. */
IMSAFE_API int imsafe_source_dispatch(struct imsafe_source *source, struct imsafe_watch *watch,
				      struct imsafe_error *error);

#ifdef __cplusplus
}
#endif
#endif
