/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Alarms of one cause: what is alike, what must not be, what is news all the same, and that memory is bounded. */
#include <string.h>

#include "alarm/group.h"
#include "small-service.h"
#include "../tap.h"

static const struct recorded nothing;
static struct image image;
static struct policy policy;
static struct groups *groups;
static struct modules modules;

/* What the latest alarm, or what became of one, was taken for. */
static struct {
	unsigned alarms, went_on;
	struct grouping grouping;
} seen;
static uint64_t number;
static uint32_t next_tid = 1000;

/* The alarm is made so before it is judged; by default it is a trace's. */
static struct {
	const char *exe, *build_id;
	uid_t uid;
	int64_t time;
} who;

static void on_alarm(void *data, const struct alarm *alarm)
{
	struct explanation e;

	explain(alarm, &image, &policy, NULL, &modules, &nothing, &e);
	if (who.exe) {
		e.process.found = true;
		e.process.pid = (pid_t)alarm->tid;
		e.process.uid = who.uid;
		snprintf(e.process.exe, sizeof(e.process.exe), "%s", who.exe);
		snprintf(e.process.build_id, sizeof(e.process.build_id), "%s", who.build_id);
	}
	e.time = who.time;
	if (alarm->went_on) {
		seen.went_on++;
		groups_went_on(groups, &e, &seen.grouping);
	} else {
		seen.alarms++;
		groups_add(groups, &e, ++number, &seen.grouping);
	}
	explanation_done(&e);
}

static bool on_unforeseen(void *data, const struct scored_call *call)
{
	return groups_unforeseen(groups, call->event.tid, call, &policy, &modules);
}

static void on_closed(void *data, uint64_t sequence, uint32_t tid)
{
	groups_closed(groups, tid);
}

static void add(struct monitor *monitor, uint16_t call, uint8_t origin, uint64_t site)
{
	struct event e = { .kind = EVENT_CALL, .tid = next_tid, .call = call, .origin = origin, .site = site };

	monitor_add(monitor, &e, 1);
}

static struct monitor *begin(void)
{
	struct monitor_callbacks callbacks = { .alarm = on_alarm, .unforeseen = on_unforeseen, .closed = on_closed };
	struct monitor *monitor = monitor_new(&image, &policy, &callbacks);

	next_tid++;
	for (int i = 0; i < 50; i++) {
		add(monitor, OPENAT, 0, 0);
		add(monitor, READ, 0, 0);
		add(monitor, READ, 0, 0);
		add(monitor, CLOSE, 0, 0);
	}
	memset(&seen, 0, sizeof(seen));
	return monitor;
}

static void calls(struct monitor *monitor, const uint16_t *call, size_t n)
{
	for (size_t i = 0; i < n; i++)
		add(monitor, call[i], 0, 0);
}

/* A session of a thread of its own that makes these calls, again and again until the alarm. */
static enum group_news session(const uint16_t *call, size_t n)
{
	_cleanup_(monitor_freep) struct monitor *monitor = begin();

	for (int i = 0; i < 16 && !seen.alarms; i++)
		calls(monitor, &call[(size_t)i % n], 1);
	return seen.grouping.news;
}
#define SESSION(...) session((const uint16_t[]){ __VA_ARGS__ }, sizeof((const uint16_t[]){ __VA_ARGS__ }) / sizeof(uint16_t))

static enum group_news foreign(uint16_t call, uint8_t origin, uint64_t site)
{
	_cleanup_(monitor_freep) struct monitor *monitor = begin();

	add(monitor, call, origin, site);
	return seen.grouping.news;
}

static void start(void)
{
	groups_free(groups);
	groups = groups_new();
	number = 0;
	memset(&who, 0, sizeof(who));
}

static void test_alike(void)
{
	start();
	ok(SESSION(DUP2, EXECVE) == NEWS_CAUSE && seen.alarms == 1, "the first alarm is news");
	ok(SESSION(DUP2, EXECVE) == NEWS_NONE && seen.grouping.group->number == 1 && seen.grouping.group->count == 2,
	   "the same from another thread is not");
	ok(SESSION(DUP2, POLL) == NEWS_CAUSE && seen.grouping.group->number == 3, "another call is");
	ok(SESSION(EXECVE, DUP2) == NEWS_CAUSE, "and the same calls after others");
	ok(SESSION(DUP2, EXECVE) == NEWS_NONE && seen.grouping.group->number == 1 && seen.grouping.group->count == 3 &&
	   seen.grouping.group->n_pids == 3, "each goes to its own group");
	ok(groups_get(groups, 2) && !groups_get(groups, 3), "which are listed");
}

static void test_who(void)
{
	start();
	who.exe = "/usr/sbin/ftpd";
	who.build_id = "abc";
	who.uid = 1000;
	ok(SESSION(DUP2, EXECVE) == NEWS_CAUSE && SESSION(DUP2, EXECVE) == NEWS_NONE, "a program's alarms are alike");
	who.build_id = "abd";
	ok(SESSION(DUP2, EXECVE) == NEWS_CAUSE, "another build's are not");
	who.exe = "/bin/sh";
	who.build_id = "abc";
	ok(SESSION(DUP2, EXECVE) == NEWS_CAUSE, "nor another program's");
	who.exe = NULL;
	ok(SESSION(DUP2, EXECVE) == NEWS_CAUSE && SESSION(DUP2, EXECVE) == NEWS_NONE, "nor those of a process that is gone");
	who.exe = "/usr/sbin/ftpd";
	who.uid = 1001;
	ok(SESSION(DUP2, EXECVE) == NEWS_USER && seen.grouping.group->number == 1 && SESSION(DUP2, EXECVE) == NEWS_NONE,
	   "another user's first is told");
	for (who.uid = 1002; who.uid < 1000 + GROUP_USERS_MAX - 1; who.uid++)
		SESSION(DUP2, EXECVE);
	ok(SESSION(DUP2, EXECVE) == NEWS_NONE && seen.grouping.new_user, "of too many users further ones are not");
	who.uid = 0;
	ok(SESSION(DUP2, EXECVE) == NEWS_USER && SESSION(DUP2, EXECVE) == NEWS_NONE, "but root's first always is");
	who.time = 1000000;
	SESSION(DUP2, EXECVE);
	who.time += GROUP_SILENCE;
	ok(SESSION(DUP2, EXECVE) == NEWS_NONE, "within a day it is the same story");
	who.time += GROUP_SILENCE + 1;
	ok(SESSION(DUP2, EXECVE) == NEWS_AGAIN && SESSION(DUP2, EXECVE) == NEWS_NONE, "after a day of silence it is told again");
}

static void test_foreign(void)
{
	uint8_t stack = EVENT_FROM(ORIGIN_STACK, ABI_NATIVE), stray = EVENT_FROM(ORIGIN_STRAY, ABI_NATIVE);
	unsigned libc = (unsigned)modules_add(&modules, "/usr/lib/libc.so.6", "abcdef", 0, 0);
	unsigned copy = (unsigned)modules_add(&modules, "/usr/lib/libc.so.6", "fedcba", 0, 0);

	start();
	ok(foreign(OPENAT, stack, SITE(0, 0x7ffd1000)) == NEWS_CAUSE && foreign(OPENAT, stack, SITE(0, 0x7ffd2fff)) == NEWS_NONE,
	   "foreign calls from a stack are alike wherever it lies");
	ok(foreign(OPENAT, EVENT_FROM(ORIGIN_HEAP, ABI_NATIVE), 0) == NEWS_CAUSE, "those from a heap are others");
	ok(foreign(EXECVE, stack, SITE(0, 0x7ffd1000)) == NEWS_CAUSE, "other calls are");
	ok(foreign(OPENAT, EVENT_FROM(ORIGIN_FILE, ABI_COMPAT), 0) == NEWS_CAUSE, "and those through another door");
	ok(foreign(READ, stray, SITE(libc, 0x1000)) == NEWS_CAUSE && foreign(READ, stray, SITE(libc, 0x1000)) == NEWS_NONE,
	   "a place in a file is a cause");
	ok(foreign(READ, stray, SITE(libc, 0x1002)) == NEWS_CAUSE && foreign(READ, stray, SITE(copy, 0x1000)) == NEWS_CAUSE,
	   "another place, or another build of the file, another one");
	ok(SESSION(DUP2, EXECVE) == NEWS_CAUSE, "a mean is never like a foreign call");
}

/* What an attacker would like: to begin as a known false alarm does, and go on unseen. */
static void test_went_on(void)
{
	static const uint16_t known[] = { GETRANDOM, POLL, GETRANDOM, POLL, GETRANDOM, POLL, GETRANDOM, POLL };
	struct monitor *monitor;

	start();
	monitor = begin();
	calls(monitor, known, ARRAY_SIZE(known));
	calls(monitor, (const uint16_t[]){ GETRANDOM, 39 }, 2);
	ok(seen.alarms == 1 && seen.grouping.news == NEWS_CAUSE && !seen.went_on, "who reads an alarm follows it on himself");
	monitor_free(monitor);

	monitor = begin();
	calls(monitor, known, ARRAY_SIZE(known));
	ok(seen.alarms == 1 && seen.grouping.news == NEWS_NONE, "one like it");
	calls(monitor, (const uint16_t[]){ GETRANDOM, 39 }, 2);
	ok(!seen.went_on, "may go on like it");
	calls(monitor, (const uint16_t[]){ DUP2 }, 1);
	ok(seen.went_on == 1 && seen.grouping.news == NEWS_WENT_ON && seen.grouping.alarm == 2 && seen.grouping.group->number == 1,
	   "but not otherwise");
	calls(monitor, (const uint16_t[]){ EXECVE, DUP2, EXECVE }, 3);
	ok(seen.went_on == 1 && seen.alarms == 1, "told once");
	monitor_free(monitor);

	monitor = begin();
	calls(monitor, known, ARRAY_SIZE(known));
	calls(monitor, (const uint16_t[]){ GETRANDOM, DUP2 }, 2);
	calls(monitor, (const uint16_t[]){ EXECVE, DUP2 }, 2);
	ok(seen.alarms == 1 && seen.grouping.news == NEWS_NONE, "what was told is known");
	monitor_free(monitor);

	ok(SESSION(39, 39) == NEWS_CAUSE, "what only came later in an episode does not make an alarm known");

	monitor = begin();
	calls(monitor, known, ARRAY_SIZE(known));
	for (int i = 0; i < 400; i++)
		add(monitor, i % 4 == 0 ? OPENAT : i % 4 == 3 ? CLOSE : READ, 0, 0);
	calls(monitor, (const uint16_t[]){ EXECVE }, 1);
	ok(seen.alarms == 1 && !seen.went_on, "after the episode's end a single call is none of its business");
	add(monitor, READ, EVENT_FROM(ORIGIN_STACK, ABI_NATIVE), 0);
	ok(seen.alarms == 2 && seen.grouping.news == NEWS_CAUSE, "a foreign call is an alarm of its own");
	monitor_free(monitor);

	for (int i = 0; i < 3; i++) {
		monitor = begin();
		add(monitor, OPENAT, EVENT_FROM(ORIGIN_STACK, ABI_NATIVE), 0);
		add(monitor, READ, EVENT_FROM(ORIGIN_STACK, ABI_NATIVE), 0);
		ok(seen.alarms == 1 && !seen.went_on, i ? "another may do what it did" : "code on a stack is told once");
		if (i) {
			add(monitor, READ, 0, 0);
			add(monitor, i == 1 ? CLOSE : READ, EVENT_FROM(i == 1 ? ORIGIN_STACK : ORIGIN_HEAP, ABI_NATIVE), 0);
			ok(seen.went_on == 1 && seen.grouping.news == NEWS_WENT_ON, "%s is told", i == 1 ? "another call" : "other memory");
		}
		monitor_free(monitor);
	}
}

/* A file that is one too many has no number: nothing from there is like anything. */
static void test_files(void)
{
	uint8_t stray = EVENT_FROM(ORIGIN_STRAY, ABI_NATIVE);
	unsigned alike = 0, first = 0, last = 0;

	start();
	for (unsigned i = 0; i < 1100; i++) {
		char path[32];

		snprintf(path, sizeof(path), "/usr/lib/lib%u.so", i);
		last = (unsigned)modules_add(&modules, path, "abcdef", 0, 0);
		first = first ? first : last;
		alike += foreign(READ, stray, SITE(last, 0x1000)) != NEWS_CAUSE;
	}
	ok(!alike, "the same place in another file is a cause of its own");
	foreign(READ, stray, SITE(first, 0x1000));
	ok(foreign(READ, stray, SITE(first, 0x1000)) == NEWS_NONE, "in a file that is known it is known");
	ok(foreign(READ, stray, SITE(last, 0x1000)) == NEWS_CAUSE, "in one of too many files it is news each time");
}

static void test_bounds(void)
{
	unsigned causes = 0, n = 0, forgot = 0;
	struct monitor *monitor;

	start();
	for (uint16_t call = 300; call < 300 + GROUPS_MAX; call++)
		causes += SESSION(call) == NEWS_CAUSE;
	ok(causes == GROUPS_MAX && !groups_forgotten(groups), "so many causes are remembered");
	ok(SESSION(300) == NEWS_NONE && SESSION(301) == NEWS_NONE, "the first still are");
	for (uint16_t call = 300 + GROUPS_MAX; call < 310 + GROUPS_MAX; call++) {
		SESSION(call);
		forgot += seen.grouping.forgot && seen.grouping.forgotten == (uint64_t)(call - 300 - GROUPS_MAX + 3);
	}
	while (groups_get(groups, n))
		n++;
	ok(n == GROUPS_MAX && forgot == 10 && groups_forgotten(groups) == 10, "more make those forgotten that were silent longest, and that is told");
	ok(SESSION(300) == NEWS_NONE && SESSION(302) == NEWS_CAUSE, "what is forgotten is news again");

	monitor = begin();
	calls(monitor, (const uint16_t[]){ 300, 300, 300, 300, 300, 300, 300, 300 }, 8);
	ok(seen.alarms == 1 && seen.grouping.news == NEWS_NONE, "one group");
	calls(monitor, (const uint16_t[]){ EXECVE }, 1);
	for (uint16_t call = 10; call < 10 + 2 * GROUP_ODDITIES_MAX; call++)
		add(monitor, call, 0, 0);
	ok(seen.went_on == 1 && seen.grouping.group->n_oddities <= GROUP_ODDITIES_MAX, "remembers so many oddities");
	monitor_free(monitor);
	monitor = begin();
	calls(monitor, (const uint16_t[]){ 300, 300, 300, 300, 300, 300, 300, 300, 9 + 2 * GROUP_ODDITIES_MAX }, 9);
	ok(seen.went_on == 1, "what it cannot is news each time");
	monitor_free(monitor);
}

int main(void)
{
	small_service(&image, &policy, CALL_INVALID);
	modules_init(&modules);
	test_alike();
	test_who();
	test_foreign();
	test_went_on();
	test_files();
	test_bounds();
	groups_free(groups);
	modules_done(&modules);
	image_free(&image);
	return tap_done();
}
