/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The importer of strace's output; what it reads is described in doc/trace-formats.md. Its one difficulty is that a child's first
 * lines may come before the line that says who made it: threads that are inside a fork are counted for that.
 */
#include <errno.h>
#include <string.h>

#include "trace/digits.h"
#include "trace/header.h"
#include "trace/lines.h"
#include "trace/strace-line.h"
#include "trace/thread-table.h"

#define DAY 86400000000000ULL

struct thread {
	uint32_t pid;     /* the process, 0 = not known */
	uint32_t parent;
	uint32_t was;     /* its id before an exec from a thread */
	uint8_t abi;
	bool seen;        /* has had a line, so its beginning has been told */
	bool announced;   /* a fork's result named it */
	bool unnamed;     /* its fork is known, whose result is still to come */
	bool ended;       /* likewise */
	bool forking;     /* inside clone or fork */
	bool as_thread;   /* with CLONE_THREAD */
};

struct strace {
	struct lines lines;
	struct thread_table *threads;
	uint32_t forking; /* how many threads are */
	uint32_t forker;  /* one of them */
	uint32_t live;
	uint32_t alone;   /* whose lines have no id in front, as long as there is only one thread */
	uint64_t alias;   /* the id that its lines have once there are several */
	bool unprefixed;  /* there was such a line */
	bool begun;       /* there was a call */
	bool summary;     /* inside a table of strace -C */
	bool broken;      /* a message stands in the middle of a line: broken_tid's call, whose rest is on the next line */
	uint32_t broken_tid;
	char broken_name[64];
	uint64_t time;    /* of the line before */
	uint64_t day;
};

static bool is_fork(const char *name)
{
	return !strcmp(name, "clone") || !strcmp(name, "clone3") || !strcmp(name, "fork") || !strcmp(name, "vfork");
}

static bool is_exec(const char *name)
{
	return !strcmp(name, "execve") || !strcmp(name, "execveat");
}

static uint64_t line_time(struct strace *strace, const struct stripped *s)
{
	uint64_t time = s->time;

	if (s->clock == NO_TIME)
		return 0;
	if (s->clock == TIME_RELATIVE)
		time += strace->time;
	/* Past midnight. */
	if (s->clock == TIME_OF_DAY && time + strace->day + DAY / 2 < strace->time)
		strace->day += DAY;
	if (s->clock == TIME_OF_DAY)
		time += strace->day;
	return strace->time = time;
}

static void fork_end(struct strace *strace, struct thread *thread)
{
	strace->forking -= thread->forking;
	thread->forking = false;
}

/* The thread's record, after telling how it began. NULL without memory. */
static struct thread *meet(struct strace *strace, uint32_t tid, uint64_t time, bool attached)
{
	struct thread *thread = thread_table_get(strace->threads, tid, NULL), *parent = NULL;
	struct event event = { .time = time, .tid = tid, .kind = EVENT_FORK };

	if (!thread || (thread->seen && !thread->ended))
		return thread;
	if (thread->ended)
		*thread = (struct thread){ 0 }; /* the id is used again */
	thread->seen = true;
	strace->live++;
	if (!thread->announced && strace->forking) {
		if (strace->forking == 1 && strace->forker != tid)
			parent = thread_table_find(strace->threads, strace->forker);
		if (parent && parent->forking) {
			fork_end(strace, parent); /* its child is here: who comes next is another's */
			thread->unnamed = true;
			thread->parent = strace->forker;
			thread->pid = parent->as_thread ? parent->pid : tid;
			thread->abi = parent->abi;
		}
	} else if (!thread->announced) {
		if (!attached)
			return thread;
		event.kind = EVENT_ATTACH;
	}
	event.parent = event.kind == EVENT_FORK ? thread->parent : 0;
	event.pid = thread->pid;
	lines_emit(&strace->lines, &event);
	return thread;
}

static int fork_result(struct strace *strace, uint32_t tid, int64_t child_tid)
{
	struct thread *child, *thread;
	bool is_new;

	if (child_tid <= 0 || child_tid == tid)
		return 0;
	child = thread_table_get(strace->threads, (uint32_t)child_tid, &is_new);
	if (!child)
		return -ENOMEM;
	if (child->ended) {
		thread_table_remove(strace->threads, (uint32_t)child_tid);
	} else if (child->seen) {
		child->unnamed = false;
	} else {
		thread = thread_table_find(strace->threads, tid);
		child->announced = true;
		child->parent = tid;
		child->pid = thread && thread->as_thread ? thread->pid : (uint32_t)child_tid;
		child->abi = thread ? thread->abi : ABI_NATIVE;
	}
	return 0;
}

static void fork_begin(struct strace *strace, struct thread *thread, uint32_t tid, const struct stripped *s)
{
	strace->forking += !thread->forking;
	strace->forker = tid;
	thread->forking = true;
	thread->as_thread = memmem(s->at, (size_t)(s->end - s->at), "CLONE_THREAD", 12) != NULL;
}

static void tell_exec(struct strace *strace, struct thread *thread, uint32_t tid, uint64_t time)
{
	struct event event = { .time = time, .tid = tid, .kind = EVENT_EXEC, .parent = thread->was, .pid = tid };

	thread->pid = tid;
	thread->was = 0;
	lines_emit(&strace->lines, &event);
}

static int read_call(struct trace_reader *reader, const struct stripped *s, uint32_t tid, uint64_t time, const char *name)
{
	struct strace *strace = reader->state;
	struct thread *thread = meet(strace, tid, time, false);
	struct event event = { .time = time, .tid = tid, .kind = EVENT_CALL };
	bool unfinished = strace_is_unfinished(s) || strace->broken;
	bool executed = !unfinished && is_exec(name) && strace_result(s) == 0;
	bool begins = !strace->begun && executed;

	if (!thread)
		return -ENOMEM;
	strace->begun = true;
	/* The command's start: this call was made by strace's own child. */
	if (!begins) {
		enum syscall_arch arch = thread->abi == ABI_COMPAT ? ARCH_I386 : reader->info.arch;

		event.call = (__u16)call_by_name(arch, name);
		event.origin = EVENT_FROM(ORIGIN_UNKNOWN, thread->abi);
		lines_emit(&strace->lines, &event);
	}
	if (executed)
		tell_exec(strace, thread, tid, time);
	if (!is_fork(name))
		return 0;
	fork_begin(strace, thread, tid, s);
	if (unfinished)
		return 0;
	fork_end(strace, thread);
	return fork_result(strace, tid, strace_result(s));
}

static int read_resumed(struct strace *strace, const struct stripped *s, uint32_t tid, uint64_t time, const char *name)
{
	struct thread *thread = meet(strace, tid, time, false);

	if (!thread)
		return -ENOMEM;
	if (is_exec(name) && strace_result(s) == 0)
		tell_exec(strace, thread, tid, time);
	/* clone3 names its flags when it returns, in newer versions of strace. */
	if (is_fork(name) || thread->forking) {
		thread->as_thread |= memmem(s->at, (size_t)(s->end - s->at), "CLONE_THREAD", 12) != NULL;
		fork_end(strace, thread);
		return fork_result(strace, tid, strace_result(s));
	}
	return 0;
}

static int read_ended(struct strace *strace, uint32_t tid, uint64_t time)
{
	struct event event = { .time = time, .tid = tid, .kind = EVENT_EXIT };
	struct thread *thread = meet(strace, tid, time, false);

	if (!thread)
		return -ENOMEM;
	fork_end(strace, thread);
	lines_emit(&strace->lines, &event);
	strace->live--;
	if ((strace->forking || thread->unnamed) && !thread->announced)
		thread->ended = true; /* so that its fork's result does not make it anew */
	else
		thread_table_remove(strace->threads, tid);
	return 0;
}

/* "+++ superseded by execve in pid N +++": this thread ends, and thread N goes on under its id. */
static int read_superseded(struct strace *strace, const struct stripped *s, uint32_t tid, uint64_t time)
{
	const char *at = s->at + strlen("+++ superseded by execve in pid ");
	struct event event = { .time = time, .tid = tid, .kind = EVENT_EXIT };
	struct thread *leader = meet(strace, tid, time, false), *thread;
	uint64_t was;

	if (!digits_parse(&at, UINT32_MAX, &was) || was == tid)
		return -EINVAL;
	if (!leader)
		return -ENOMEM;
	lines_emit(&strace->lines, &event);
	fork_end(strace, leader);
	thread = thread_table_find(strace->threads, (uint32_t)was);
	if (thread && thread->seen && !thread->ended) {
		thread_table_rename(strace->threads, (uint32_t)was, tid);
		strace->live--;
	} else {
		thread = leader; /* the other one's lines are in another file (strace -ff) */
	}
	thread->was = (uint32_t)was;
	return 0;
}

static void find_live(void *data, uint32_t tid, void *record)
{
	const struct thread *thread = record;

	if (thread->seen && !thread->ended)
		*(uint32_t *)data = tid;
}

/*
 * Which thread an id in the file means. strace leaves ids out while there is one thread only; when others have come, and
 * each was announced, an id that nobody knows is the first one's.
 */
static uint32_t known_as(struct strace *strace, uint64_t tid)
{
	if (tid == strace->alias)
		return strace->alone;
	if (strace->unprefixed && strace->alias == UINT64_MAX && !thread_table_find(strace->threads, (uint32_t)tid)) {
		strace->alias = tid;
		return strace->alone;
	}
	return (uint32_t)tid;
}

static uint32_t line_tid(struct strace *strace, const struct stripped *s)
{
	const struct thread *thread;

	if (s->has_tid)
		return known_as(strace, s->tid);
	strace->unprefixed = true;
	thread = thread_table_find(strace->threads, strace->alone);
	if (strace->live == 1 && (!thread || thread->ended)) {
		/* The first one has ended, another one is alone now. */
		thread_table_each(strace->threads, find_live, &strace->alone);
		strace->alias = strace->alone;
	}
	return strace->alone;
}

/* "[ Process PID=N runs in 32 bit mode. ]" */
static int read_mode(struct trace_reader *reader, const struct stripped *s)
{
	struct strace *strace = reader->state;
	const char *at = s->at + strlen("[ Process PID=");
	struct thread *thread;
	uint64_t tid;
	unsigned abi = ABI_NATIVE;

	if (!digits_parse(&at, UINT32_MAX, &tid))
		return -EINVAL;
	if (starts_with(at, s->end, " runs in 32 bit mode") && reader->info.arch != ARCH_I386)
		abi = ABI_COMPAT;
	else if (starts_with(at, s->end, " runs in x32 mode"))
		abi = ABI_X32;
	thread = thread_table_get(strace->threads, known_as(strace, tid), NULL);
	if (!thread)
		return -ENOMEM;
	thread->abi = (uint8_t)abi;
	return 0;
}

static int read_attached(struct strace *strace, const struct stripped *s, uint64_t time)
{
	const char *at = (const char *)memchr(s->at, 'P', (size_t)(s->end - s->at)) + strlen("Process ");
	uint64_t tid;

	if (!digits_parse(&at, UINT32_MAX, &tid))
		return 0;
	if (!strace->begun && !strace->live)
		strace->alone = (uint32_t)tid;
	return meet(strace, (uint32_t)tid, time, true) ? 0 : -ENOMEM;
}

static int read_payload(struct trace_reader *reader, const struct stripped *s, uint64_t time)
{
	struct strace *strace = reader->state;
	char name[64];
	enum payload payload = strace_classify(s, name, sizeof(name));
	uint32_t tid;

	switch (payload) {
	case PAYLOAD_CALL:
	case PAYLOAD_RESUMED:
		tid = line_tid(strace, s);
		if (strace->broken) {
			strace->broken_tid = tid;
			memcpy(strace->broken_name, name, sizeof(name));
		}
		if (payload == PAYLOAD_CALL)
			return read_call(reader, s, tid, time, name);
		/* What it returned stands in the rest of the line. */
		return strace->broken ? 0 : read_resumed(strace, s, tid, time, name);
	case PAYLOAD_ENDED:
		return read_ended(strace, line_tid(strace, s), time);
	case PAYLOAD_SUPERSEDED:
		return read_superseded(strace, s, line_tid(strace, s), time);
	case PAYLOAD_MODE:
		return read_mode(reader, s);
	case PAYLOAD_ATTACHED:
		return read_attached(strace, s, time);
	case PAYLOAD_OTHER:
		return 0;
	default:
		return -EINVAL;
	}
}

/* strace -C and -w write a table of all calls when they end: from its heading to the line of its sums. */
static bool read_summary(struct strace *strace, const char *line, const char *end)
{
	if (strace->summary) {
		strace->summary = !ends_with(line, end, " total");
		return true;
	}
	strace->summary = starts_with(line, end, "% time ") && ends_with(line, end, " syscall");
	return strace->summary || starts_with(line, end, "System call usage summary for ");
}

static int read_line(struct trace_reader *reader, const char *line, const char *end, struct errmsg *err)
{
	struct strace *strace = reader->state;
	struct stripped s = { .at = line, .end = end };
	const char *message;
	bool good;
	int r;

	while (end > line && is_blank(end[-1]))
		end--;
	if (line == end || read_summary(strace, line, end))
		return 0;
	good = strace_strip(line, end, &s);
	message = good ? strace_message_inside(s.at, end) : NULL;
	if (message) {
		struct stripped told = { .at = message, .end = end };
		uint64_t time = line_time(strace, &s);

		strace->broken = true;
		s.end = message;
		r = read_payload(reader, &s, time);
		if (r >= 0)
			r = read_attached(strace, &told, time);
	} else if (strace->broken && (!good || strace_classify(&s, (char[64]){ 0 }, 64) == PAYLOAD_NONE)) {
		/* The rest of a broken line. */
		s = (struct stripped){ .at = line, .end = end };
		strace->broken = false;
		r = strace_is_unfinished(&s) ? 0 : read_resumed(strace, &s, strace->broken_tid, strace->time, strace->broken_name);
	} else {
		/* Several messages may stand in the middle of the line. */
		strace->broken = strace->broken && good && starts_with(s.at, end, "strace: ");
		r = good ? read_payload(reader, &s, line_time(strace, &s)) : -EINVAL;
	}
	if (r == -EINVAL)
		return bad_line(&reader->input, line,
				"not a line of strace (if it is the program's own output, record with strace -o FILE)", err);
	return r < 0 ? errmsg_errno(err, r, reader->input.name, "cannot read it") : 0;
}

static ssize_t strace_read(struct trace_reader *reader, struct event *events, size_t n, struct errmsg *err)
{
	return lines_read(reader, read_line, events, n, err);
}

/* What the first lines say of the whole. */
struct census {
	unsigned missing[ARCHES]; /* how many names each architecture's table lacks */
	uint64_t start;
	char *application;
	bool started;             /* a call has succeeded */
	bool unprefixed;          /* the first lines have no id in front */
	uint64_t first;           /* the first id that no message announced: whose lines those are */
	uint64_t attached[64];
	unsigned n_attached;
};

static void note_attached(struct census *census, const char *at, const char *end)
{
	const char *process = memmem(at, (size_t)(end - at), "Process ", 8);
	uint64_t tid;

	if (process && (process += 8) && digits_parse(&process, UINT32_MAX, &tid) && census->n_attached < ARRAY_SIZE(census->attached))
		census->attached[census->n_attached++] = tid;
}

static void note_id(struct census *census, const struct stripped *s)
{
	census->unprefixed |= !s->has_tid;
	if (!s->has_tid || !census->unprefixed || census->first != UINT64_MAX)
		return;
	for (unsigned i = 0; i < census->n_attached; i++)
		if (census->attached[i] == s->tid)
			return;
	census->first = s->tid;
}

/* execve("PATH", ... as the first call that succeeds: the traced command. If nothing in the path had to be written otherwise. */
static void note_application(struct census *census, const struct stripped *s, const char *name)
{
	static const char begin[] = "execve(\"/";
	const char *path = s->at + sizeof(begin) - 2, *quote;

	if (census->started || (is_exec(name) && strace_result(s) != 0))
		return;
	census->started = true;
	quote = starts_with(s->at, s->end, begin) ? memchr(path, '"', (size_t)(s->end - path)) : NULL;
	if (quote && quote - path <= HEADER_TEXT_MAX && !memchr(path, '\\', (size_t)(quote - path)))
		census->application = strndup(path, (size_t)(quote - path));
}

static void look_at_line(void *data, const char *line, const char *end)
{
	struct census *census = data;
	struct stripped s;
	const char *message;
	char name[64];
	enum payload payload;

	if (!strace_strip(line, end, &s))
		return;
	if (s.clock == TIME_ABSOLUTE && !census->start)
		census->start = s.time;
	payload = strace_classify(&s, name, sizeof(name));
	message = strace_message_inside(s.at, end);
	if (message || payload == PAYLOAD_ATTACHED)
		note_attached(census, message ? message : s.at, end);
	/* While it waits for its children, a thread may have its id in front of the end of a call only. */
	if (payload == PAYLOAD_CALL || payload == PAYLOAD_RESUMED)
		note_id(census, &s);
	if (payload != PAYLOAD_CALL)
		return;
	note_application(census, &s, name);
	for (int arch = ARCH_X86_64; arch < ARCHES; arch++)
		census->missing[arch] += syscall_by_name((enum syscall_arch)arch, name) < 0;
}

static int strace_open(struct trace_reader *reader, struct errmsg *err)
{
	struct strace *strace = reader->state;
	const char *dot = strrchr(reader->input.name, '.');
	struct census census = { .first = UINT64_MAX };
	uint64_t tid;
	int r;

	strace->threads = thread_table_new(sizeof(struct thread));
	if (!strace->threads)
		return errmsg_errno(err, -ENOMEM, reader->input.name, "cannot read it");
	/* strace -ff makes a file per thread. */
	strace->alone = 1;
	strace->alias = UINT64_MAX;
	if (dot && is_digit(*++dot) && digits_parse(&dot, UINT32_MAX, &tid) && !*dot)
		strace->alone = (uint32_t)tid;
	r = lines_peek(reader, look_at_line, &census, err);
	reader->info.application = census.application;
	if (r < 0)
		return r;
	if (census.first != UINT64_MAX) {
		strace->alone = (uint32_t)census.first;
		strace->alias = census.first;
	}
	reader->info.start = (int64_t)(census.start / 1000000000);
	reader->info.arch = arch_native() == ARCH_UNKNOWN ? ARCH_X86_64 : arch_native();
	for (int arch = ARCH_X86_64; arch < ARCHES; arch++)
		if (census.missing[arch] < census.missing[reader->info.arch])
			reader->info.arch = (enum syscall_arch)arch;
	return 0;
}

static void strace_close(struct trace_reader *reader)
{
	struct strace *strace = reader->state;

	thread_table_free(strace->threads);
}

const struct reader_ops strace_reader = {
	.state_size = sizeof(struct strace),
	.arch = ARCH_X86_64,
	.open = strace_open,
	.read = strace_read,
	.close = strace_close,
};
