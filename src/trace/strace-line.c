/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "trace/strace-line.h"

#include <string.h>

#include "trace/digits.h"
#include "trace/lines.h"

static const char *skip_blanks(const char *at, const char *end)
{
	while (at < end && is_blank(*at))
		at++;
	return at;
}

/* "12:34:56[.789]" */
static bool parse_clock(const char **at, uint64_t *ret_ns)
{
	const char *p = *at;
	uint64_t hours, minutes, ns;

	if (!digits_parse(&p, 24, &hours) || *p++ != ':' || !digits_parse(&p, 59, &minutes) || *p++ != ':' ||
	    !parse_seconds(&p, &ns) || ns > 61000000000)
		return false;
	*at = p;
	*ret_ns = (hours * 60 + minutes) * 60000000000ULL + ns;
	return true;
}

static const char *behind_comm(const char *at, const char *end)
{
	const char *close = at < end && *at == '<' ? memchr(at, '>', (size_t)(end - at)) : NULL;

	return close ? close + 1 : at;
}

const char *strace_message_inside(const char *line, const char *end)
{
	static const char begin[] = "strace: Process ";
	const char *found = NULL, *at = line + 1;
	uint64_t tid;

	while (at < end && (at = memmem(at, (size_t)(end - at), begin, sizeof(begin) - 1))) {
		found = at;
		at += sizeof(begin) - 1;
	}
	if (!found)
		return NULL;
	at = found + sizeof(begin) - 1;
	if (!digits_parse(&at, UINT32_MAX, &tid))
		return NULL;
	at = behind_comm(at, end);
	return starts_with(at, end, " attached") && end - at == strlen(" attached") ? found : NULL;
}

bool strace_strip(const char *line, const char *end, struct stripped *ret_stripped)
{
	struct stripped s = { .end = end };
	const char *at = skip_blanks(line, end), *p;

	if (starts_with(at, end, "[pid ")) {
		at = skip_blanks(at + 5, end);
		if (!digits_parse(&at, UINT32_MAX, &s.tid))
			return false;
		at = behind_comm(at, end);
		if (at == end || *at++ != ']')
			return false;
		s.has_tid = true;
	} else if (is_digit(*at)) {
		p = at;
		while (p < end && is_digit(*p))
			p++;
		if (p < end && (*p == ' ' || *p == '<')) {
			if (!digits_parse(&at, UINT32_MAX, &s.tid))
				return false;
			at = behind_comm(at, end);
			s.has_tid = true;
		}
	}
	at = skip_blanks(at, end);
	if (at < end && is_digit(*at)) {
		p = at;
		if (parse_clock(&p, &s.time)) {
			s.clock = TIME_OF_DAY;
		} else {
			p = at;
			if (!parse_seconds(&p, &s.time) || *p != ' ')
				return false;
			/* Seconds since 1970, or since the line before. */
			s.clock = s.time >= 100000000ULL * 1000000000 ? TIME_ABSOLUTE : TIME_RELATIVE;
		}
		at = skip_blanks(p, end);
		if (starts_with(at, end, "(+")) {
			p = memchr(at, ')', (size_t)(end - at));
			if (!p)
				return false;
			at = skip_blanks(p + 1, end);
		}
	}
	/* Instruction pointers and numbers of calls. */
	while (at < end && *at == '[' && !starts_with(at, end, "[ Process")) {
		p = memchr(at, ']', (size_t)(end - at));
		if (!p)
			return false;
		at = skip_blanks(p + 1, end);
	}
	s.at = at;
	*ret_stripped = s;
	return true;
}

/* What was read or written, below the call (-e read=, -e write=): " | 00010  7f 45 ...", " * 5 bytes in buffer 0". */
static bool is_dump(const char *at, const char *end)
{
	return (starts_with(at, end, "| ") && end - at > 7 && strspn(at + 2, "0123456789abcdef") >= 5) ||
	       (starts_with(at, end, "* ") && memmem(at, (size_t)(end - at), " bytes in buffer ", 17));
}

enum payload strace_classify(const struct stripped *s, char *name, size_t size)
{
	const char *at = s->at, *end = s->end, *p;

	*name = '\0';
	if (at == end || starts_with(at, end, "> ") || starts_with(at, end, "---") || is_dump(at, end))
		return PAYLOAD_OTHER;
	if (starts_with(at, end, "+++ superseded by execve in pid "))
		return PAYLOAD_SUPERSEDED;
	if (starts_with(at, end, "+++"))
		return PAYLOAD_ENDED;
	if (starts_with(at, end, "[ Process PID="))
		return PAYLOAD_MODE;
	if (starts_with(at, end, "strace: Process ") || starts_with(at, end, "Process "))
		return memmem(at, (size_t)(end - at), " attached", 9) ? PAYLOAD_ATTACHED : PAYLOAD_OTHER;
	if (starts_with(at, end, "strace: "))
		return PAYLOAD_OTHER;
	if (starts_with(at, end, "<... ?\?\? resumed>")) /* of a call as below, but one */
		return PAYLOAD_OTHER;
	if (starts_with(at, end, "<... ")) {
		p = copy_name(at + 5, end, name, size);
		return (p && starts_with(p, end, " resumed")) || starts_with(at + 5, end, "resumed") ? PAYLOAD_RESUMED : PAYLOAD_NONE;
	}
	/* Of a thread that was killed while strace looked. */
	if (starts_with(at, end, "?\?\?("))
		return PAYLOAD_OTHER;
	/* A number that strace could not read. */
	if (starts_with(at, end, "????"))
		return PAYLOAD_CALL;
	p = copy_name(at, end, name, size);
	return p && p < end && *p == '(' && !is_digit(*name) ? PAYLOAD_CALL : PAYLOAD_NONE;
}

bool strace_knows(const char *line, const char *end)
{
	struct stripped s;
	char name[64];

	if (!strace_strip(line, end, &s))
		return false;
	switch (strace_classify(&s, name, sizeof(name))) {
	case PAYLOAD_NONE:
		return false;
	case PAYLOAD_CALL:
		for (int arch = ARCH_X86_64; arch < ARCHES; arch++)
			if (call_by_name((enum syscall_arch)arch, name) != CALL_INVALID)
				return true;
		return !strncmp(s.at, "????", 4);
	default:
		return s.at < end && !starts_with(s.at, end, "> ") && !is_dump(s.at, end);
	}
}

int64_t strace_result(const struct stripped *s)
{
	static const char note[] = "in strace's PID NS";
	const char *at = s->at, *end = s->end, *p = end, *translated;
	uint64_t value;

	while (p > at + 2 && !(p[-3] == ' ' && p[-2] == '=' && p[-1] == ' '))
		p--;
	if (p <= at + 2 || !digits_parse(&p, INT32_MAX, &value))
		return -1;
	translated = memmem(p, (size_t)(end - p), note, sizeof(note) - 1);
	if (translated && (p = memmem(p, (size_t)(end - p), "/* ", 3))) {
		p += 3;
		if (p < translated && digits_parse(&p, INT32_MAX, &value))
			return (int64_t)value;
	}
	return (int64_t)value;
}

bool strace_is_unfinished(const struct stripped *s)
{
	static const char mark[] = "<unfinished ...>";
	const char *end = s->end;

	while (end > s->at && is_blank(end[-1]))
		end--;
	return (size_t)(end - s->at) >= sizeof(mark) - 1 && !memcmp(end - (sizeof(mark) - 1), mark, sizeof(mark) - 1);
}
