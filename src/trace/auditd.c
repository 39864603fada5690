/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The importer of the Linux audit log's SYSCALL records; what it reads is described in doc/trace-formats.md. */
#include <errno.h>
#include <string.h>

#include "trace/digits.h"
#include "trace/lines.h"
#include "trace/thread-table.h"

#define X32_BIT 0x40000000U

struct auditd {
	struct lines lines;
	struct thread_table *seen;
};

/* Values of AUDIT_ARCH_..., as the log writes them. */
static const struct {
	uint32_t value;
	enum syscall_arch arch;
	bool compat; /* the 32-bit door of its 64-bit brother */
} arches[] = {
	{ 0xc000003e, ARCH_X86_64, false },
	{ 0x40000003, ARCH_I386, true },
	{ 0xc00000b7, ARCH_AARCH64, false },
	{ 0x40000028, ARCH_UNKNOWN, true }, /* ARM */
};

/* The value behind " key", up to a blank or a group separator (enriched logs); false if it isn't there. */
static bool field(const char *line, const char *end, const char *key, char *value, size_t size)
{
	size_t n = strlen(key), k = 0;

	for (const char *at = line; at + n <= end; at++) {
		if ((at > line && at[-1] != ' ') || memcmp(at, key, n))
			continue;
		for (at += n; at < end && !is_blank(*at) && *at != '\x1d' && k < size - 1; at++)
			value[k++] = *at;
		value[k] = '\0';
		return true;
	}
	return false;
}

static bool number(const char *text, uint64_t max, uint64_t *ret_value)
{
	return digits_parse(&text, max, ret_value) && !*text;
}

/* "c000003e", or "x86_64" in interpreted logs. */
static bool parse_arch(const char *text, enum syscall_arch *ret_arch, bool *ret_compat)
{
	char *end;
	unsigned long value = strtoul(text, &end, 16);
	int arch = arch_by_name(text);

	if (arch >= 0) {
		*ret_arch = (enum syscall_arch)arch;
		*ret_compat = arch == ARCH_I386;
		return true;
	}
	if (!*text || *end)
		return false;
	*ret_arch = ARCH_UNKNOWN;
	*ret_compat = false;
	for (size_t i = 0; i < ARRAY_SIZE(arches); i++)
		if (arches[i].value == value) {
			*ret_arch = arches[i].arch;
			*ret_compat = arches[i].compat;
		}
	return true;
}

static bool is_record(const char *line, const char *end, const char *type)
{
	if (starts_with(line, end, "node=")) {
		line = memchr(line, ' ', (size_t)(end - line));
		if (!line)
			return false;
		line++;
	}
	return starts_with(line, end, type) && memmem(line, (size_t)(end - line), " msg=audit(", 11);
}

/* By its type, at its beginning: further on, interpreted records say what programs like to be called. */
static bool is_call(const char *line, const char *end)
{
	return is_record(line, end, "type=SYSCALL ");
}

bool auditd_knows(const char *line, const char *end)
{
	return is_record(line, end, "type=") || starts_with(line, end, "time->") ||
	       (starts_with(line, end, "----") && (end - line == 4 || is_blank(line[4])));
}

/* "1364481363.243:24287): ...", or "03/28/2013 15:22:43.243:24287) : ..." */
static uint64_t record_time(const char *line, const char *end)
{
	static const char mark[] = "msg=audit(";
	const char *at = memmem(line, (size_t)(end - line), mark, sizeof(mark) - 1);
	char text[32] = "", *rest;
	struct tm tm = { 0 };
	uint64_t ns;

	if (!at)
		return 0;
	at += sizeof(mark) - 1;
	if (parse_seconds(&at, &ns) && *at == ':')
		return ns;
	at = (const char *)memmem(line, (size_t)(end - line), mark, sizeof(mark) - 1) + sizeof(mark) - 1;
	memcpy(text, at, MIN((size_t)(end - at), sizeof(text) - 1));
	rest = strptime(text, "%m/%d/%Y %H:%M:%S", &tm);
	if (rest && tm.tm_year < 100 - 1900) /* the C locale's dates, "11/26/26" */
		tm.tm_year += 2000;
	return rest && *rest == '.' ? (uint64_t)timegm(&tm) * 1000000000 : 0;
}

/* Numbers of the calls that make and end processes, by the record's own table. */
static bool call_is(enum syscall_arch arch, unsigned call, const char *const *names)
{
	for (; *names; names++)
		if (syscall_by_name(arch, *names) == (int)call)
			return true;
	return false;
}

/*
 * A process not met before, whose parent was, is the parent's child: its own records mostly come before the one that says how
 * the parent's clone ended, and clone3 does not tell threads from processes.
 */
static int meet(struct auditd *auditd, const char *line, const char *end, const struct event *call)
{
	char text[32];
	uint64_t parent;
	bool is_new;

	if (!thread_table_get(auditd->seen, call->tid, &is_new))
		return -ENOMEM;
	if (is_new && field(line, end, "ppid=", text, sizeof(text)) && number(text, UINT32_MAX, &parent) &&
	    thread_table_find(auditd->seen, (uint32_t)parent))
		lines_emit(&auditd->lines, &(struct event){ .time = call->time, .tid = call->tid, .kind = EVENT_FORK,
							    .parent = (__u32)parent, .pid = call->tid });
	return 0;
}

/* "257", or in interpreted logs "openat" or "unknown-syscall(1000)". */
static uint64_t call_number(enum syscall_arch arch, const char *text)
{
	static const char unknown[] = "unknown-syscall(";
	const char *at = text + strlen(unknown);
	uint64_t call;

	if (number(text, UINT32_MAX, &call) || (!strncmp(text, unknown, strlen(unknown)) && digits_parse(&at, UINT32_MAX, &call)))
		return call;
	return call_by_name(arch, text);
}

static int read_syscall(struct trace_reader *reader, const char *line, const char *end, struct errmsg *err)
{
	static const char *const execs[] = { "execve", "execveat", NULL }, *const exits[] = { "exit_group", NULL };
	struct auditd *auditd = reader->state;
	char arch_text[32] = "", call_text[64], pid_text[32], success[16] = "";
	enum syscall_arch arch = reader->info.arch;
	struct event event = { .time = record_time(line, end), .kind = EVENT_CALL };
	bool compat = false;
	uint64_t call, pid;
	unsigned abi;

	if (!field(line, end, "syscall=", call_text, sizeof(call_text)) || !field(line, end, "pid=", pid_text, sizeof(pid_text)) ||
	    !number(pid_text, UINT32_MAX, &pid))
		return bad_line(&reader->input, line, "a SYSCALL record without 'syscall=' or 'pid='", err);
	if (field(line, end, "arch=", arch_text, sizeof(arch_text)) && !parse_arch(arch_text, &arch, &compat))
		return bad_line(&reader->input, line, "a SYSCALL record of no architecture", err);
	call = call_number(arch, call_text);
	if (arch != reader->info.arch && !compat)
		return bad_line(&reader->input, line, "a record of another architecture than those before", err);
	abi = arch == reader->info.arch ? ABI_NATIVE : ABI_COMPAT;
	if (arch == ARCH_X86_64 && call & X32_BIT && call != UINT32_MAX) {
		abi = ABI_X32;
		call &= ~X32_BIT;
	}
	event.tid = (__u32)pid;
	event.call = (__u16)MIN(call, CALL_INVALID);
	event.origin = EVENT_FROM(ORIGIN_UNKNOWN, abi);
	if (meet(auditd, line, end, &event) < 0)
		return errmsg_errno(err, -ENOMEM, reader->input.name, "cannot read it");
	lines_emit(&auditd->lines, &event);
	if (call_is(arch, event.call, exits)) {
		lines_emit(&auditd->lines, &(struct event){ .time = event.time, .tid = event.tid, .kind = EVENT_EXIT });
		thread_table_remove(auditd->seen, event.tid);
	}
	if (call_is(arch, event.call, execs) && field(line, end, "success=", success, sizeof(success)) && !strcmp(success, "yes"))
		lines_emit(&auditd->lines, &(struct event){ .time = event.time, .tid = event.tid, .kind = EVENT_EXEC,
							    .pid = event.tid });
	return 0;
}

static int read_line(struct trace_reader *reader, const char *line, const char *end, struct errmsg *err)
{
	const char *at = line;

	while (at < end && is_blank(*at))
		at++;
	if (at == end || *at == '#')
		return 0;
	if (!auditd_knows(at, end))
		return bad_line(&reader->input, line, "not a record of the audit log", err);
	return is_call(at, end) ? read_syscall(reader, at, end, err) : 0;
}

static ssize_t auditd_read(struct trace_reader *reader, struct event *events, size_t n, struct errmsg *err)
{
	return lines_read(reader, read_line, events, n, err);
}

/* The 64-bit architecture of the first records, else what there is. */
static void look_at_arch(void *data, const char *line, const char *end)
{
	struct trace_info *info = data;
	enum syscall_arch arch;
	char text[32];
	bool compat;

	while (line < end && is_blank(*line))
		line++;
	if (!is_call(line, end) || !field(line, end, "arch=", text, sizeof(text)) || !parse_arch(text, &arch, &compat))
		return;
	if (info->arch == ARCH_UNKNOWN || (info->arch == ARCH_I386 && !compat))
		info->arch = arch;
	if (!info->start)
		info->start = (int64_t)(record_time(line, end) / 1000000000);
}

static int auditd_open(struct trace_reader *reader, struct errmsg *err)
{
	struct auditd *auditd = reader->state;
	int r;

	auditd->seen = thread_table_new(0);
	if (!auditd->seen)
		return errmsg_errno(err, -ENOMEM, reader->input.name, "cannot read it");
	r = lines_peek(reader, look_at_arch, &reader->info, err);
	return r < 0 ? r : 0;
}

static void auditd_close(struct trace_reader *reader)
{
	struct auditd *auditd = reader->state;

	thread_table_free(auditd->seen);
}

const struct reader_ops auditd_reader = {
	.state_size = sizeof(struct auditd),
	.open = auditd_open,
	.read = auditd_read,
	.close = auditd_close,
};
