/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading text traces. Almost all lines are "SEQ PID SYSCALL": fast_line() reads those, eight characters at once, and
 * anything else (other spacing, comments, long numbers, mistakes) goes to slow_line(). A line that begins with "#:" is
 * read strictly when its keyword is known; other comments mean nothing.
 */
#include <errno.h>
#include <string.h>

#include "trace/digits.h"
#include "trace/format.h"
#include "trace/header.h"
#include "trace/lines.h"
#include "trace/text.h"

struct text {
	uint64_t time;   /* of the events that follow */
	uint64_t site;   /* of the next call */
	uint8_t origin;  /* of the calls that follow */
	bool versioned;  /* has our header: then the last line must be whole */
	bool opened;     /* the header has been read, and others may hold what it said */
};

/* Words of a directive, one after the other; spaces inside do not occur. */
struct words {
	char *at;
};

static char *next_word(struct words *words)
{
	char *word;

	while (is_blank(*words->at))
		words->at++;
	if (!*words->at)
		return NULL;
	word = words->at;
	while (*words->at && !is_blank(*words->at))
		words->at++;
	if (*words->at)
		*words->at++ = '\0';
	return word;
}

static bool number(const char *word, uint64_t max, uint64_t *ret_value)
{
	return word && digits_parse(&word, max, ret_value) && !*word;
}

static bool next_number(struct words *words, uint64_t max, uint64_t *ret_value)
{
	return number(next_word(words), max, ret_value);
}

static int read_version(struct trace_reader *reader, struct words *words)
{
	struct text *text = reader->state;
	uint64_t version;

	if (!next_number(words, UINT32_MAX, &version) || !version)
		return -EINVAL;
	if (text->versioned)
		return -EEXIST; /* two recorders wrote into one file */
	text->versioned = true;
	return version > TEXT_VERSION ? -EPROTONOSUPPORT : 0;
}

static int read_module(struct trace_reader *reader, struct words *words)
{
	uint64_t index;

	if (!next_number(words, MODULE_MAX, &index) || index != reader->modules.n)
		return -EINVAL;
	return header_read_module(&reader->modules, words->at) < 0 ? -EINVAL : 0;
}

static int read_time(struct trace_reader *reader, struct words *words)
{
	struct text *text = reader->state;
	const char *word = next_word(words);
	uint64_t time;

	if (!word || !parse_seconds(&word, &time) || *word)
		return -EINVAL;
	text->time = time;
	return 0;
}

/* "3+0x1f40" or "0x7ffd1000" */
static int read_site(const struct modules *modules, const char *word, uint64_t *ret_site)
{
	const char *from = word;
	uint64_t module = 0, offset = 0;

	if (word && is_digit(*word) && word[1] != 'x') {
		if (!digits_parse(&word, modules->n - 1, &module) || !module || *word++ != '+')
			return -EINVAL;
	}
	if (!word || word[0] != '0' || word[1] != 'x' || !word[2])
		return -EINVAL;
	for (from = word += 2; *word; word++) {
		int digit = hex_digit(*word);

		if (digit < 0 || word - from >= 12)
			return -EINVAL;
		offset = offset << 4 | (uint64_t)digit;
	}
	*ret_site = SITE(module, offset);
	return 0;
}

/* from CLASS [ABI] [at SITE] */
static int read_from(struct trace_reader *reader, struct words *words)
{
	struct text *text = reader->state;
	const char *word = next_word(words);
	int class = word ? text_lookup(text_origins, ORIGIN_KINDS, word) : -1, abi = ABI_NATIVE;
	uint64_t site = 0;

	if (class < 0)
		return -EINVAL;
	word = next_word(words);
	if (word && strcmp(word, "at")) {
		abi = text_lookup(text_abis, ABI_KINDS, word);
		if (abi < 0)
			return -EINVAL;
		word = next_word(words);
	}
	if (word && (strcmp(word, "at") || read_site(&reader->modules, next_word(words), &site) < 0))
		return -EINVAL;
	text->origin = EVENT_FROM(class, abi);
	text->site = site;
	return 0;
}

static const struct {
	const char *keyword;
	int (*read)(struct trace_reader *reader, struct words *words);
} directives[] = {
	{ TEXT_MAGIC, read_version }, { "module", read_module }, { "time", read_time }, { "from", read_from },
};

/* attach TID [pid N], fork TID [parent N] [pid N], exec TID [was N] [pid N], exit TID, gap TID|all [lost N] */
static int read_event(struct words *words, enum event_kind kind, struct event *event)
{
	const char *word = next_word(words);
	uint64_t value;

	event->kind = (__u8)kind;
	if (kind == EVENT_GAP && word && !strcmp(word, "all"))
		event->tid = 0;
	else if (number(word, UINT32_MAX, &value))
		event->tid = (__u32)value;
	else
		return -EINVAL;
	while ((word = next_word(words))) {
		if (!next_number(words, kind == EVENT_GAP ? UINT64_MAX : UINT32_MAX, &value))
			return -EINVAL;
		if (kind == EVENT_GAP && !strcmp(word, "lost"))
			event->lost = value;
		else if ((kind == EVENT_FORK && !strcmp(word, "parent")) || (kind == EVENT_EXEC && !strcmp(word, "was")))
			event->parent = (__u32)value;
		else if (kind != EVENT_GAP && kind != EVENT_EXIT && !strcmp(word, "pid"))
			event->pid = (__u32)value;
		else
			return -EINVAL;
	}
	return 1;
}

/* A "#:" line, NUL-terminated. 1: *event is one, 0: nothing of the kind, negative: not understood. */
static int read_directive(struct trace_reader *reader, char *line, struct event *event)
{
	const struct text *text = reader->state;
	struct words words = { line };
	const char *keyword = next_word(&words);
	int kind, r;

	if (!keyword)
		return 0;
	if (text->opened && (header_knows(keyword) || !strcmp(keyword, TEXT_MAGIC)))
		return -EEXIST;
	r = header_read(&reader->info, keyword, words.at);
	if (r)
		return r < 0 ? r : 0;
	for (size_t i = 0; i < ARRAY_SIZE(directives); i++)
		if (!strcmp(keyword, directives[i].keyword))
			return directives[i].read(reader, &words);
	kind = text_lookup(text_events, EVENT_KINDS, keyword);
	return kind > EVENT_CALL ? read_event(&words, (enum event_kind)kind, event) : 0;
}

/* One line of any kind, [line, end) without its newline. 1: *event is set; 0: nothing to deliver. */
static int slow_line(struct trace_reader *reader, const char *line, const char *end, struct event *event,
		     struct errmsg *err)
{
	struct text *text = reader->state;
	const char *at = line;
	uint64_t sequence, tid, call;

	while (at < end && is_blank(*at))
		at++;
	if (at == end)
		return 0;
	*event = (struct event){ .time = text->time };
	if (*at == '#') {
		_cleanup_free_ char *copy = NULL;
		int r;

		if (end - at < 2 || at[1] != ':')
			return 0;
		if (memchr(at, '\0', (size_t)(end - at)))
			return bad_line(&reader->input, line, "a NUL byte", err);
		copy = strndup(at + 2, (size_t)(end - at - 2));
		r = copy ? read_directive(reader, copy, event) : -ENOMEM;
		if (r == -EINVAL)
			return bad_line(&reader->input, line, "not a well-formed '#:' line", err);
		if (r == -EEXIST)
			return bad_line(&reader->input, line, "a second header: are these two traces in one file?", err);
		if (r == -EPROTONOSUPPORT)
			return errmsg_set(err, r, reader->input.name, reader->input.line + 1,
					  "written by a newer version of ImSafe: this one reads up to version %d", TEXT_VERSION);
		return r < 0 ? errmsg_errno(err, r, reader->input.name, "cannot read it") : r;
	}
	if (!digits_parse(&at, UINT64_MAX, &sequence) || !is_blank(*at))
		return bad_line(&reader->input, line, "not 'SEQ PID SYSCALL'", err);
	while (is_blank(*at))
		at++;
	if (!digits_parse(&at, UINT32_MAX, &tid) || !is_blank(*at))
		return bad_line(&reader->input, line, "not 'SEQ PID SYSCALL'", err);
	while (is_blank(*at))
		at++;
	if (!digits_parse(&at, CALL_INVALID, &call))
		return bad_line(&reader->input, line, is_digit(*at) ? "no such system call number" : "not 'SEQ PID SYSCALL'", err);
	while (at < end && is_blank(*at))
		at++;
	if (at < end)
		return bad_line(&reader->input, line, "more than 'SEQ PID SYSCALL'", err);
	event->tid = (__u32)tid;
	event->call = (__u16)call;
	event->kind = EVENT_CALL;
	event->origin = text->origin;
	event->site = text->site;
	text->site = 0;
	return 1;
}

/*
 * Calls of plain form, one after the other. Where the next field begins is guessed from the line before, so that the
 * processor need not wait for one line to find the next; only the call's number, whose length varies, is waited for.
 * Returns where it met something else, or the end.
 */
static const char *fast_lines(const struct text *text, const char *at, const char *limit, struct event **events,
			      const struct event *last)
{
	struct event *event = *events;
	unsigned sequence_digits = 1, tid_digits = 1;
	uint64_t time = text->time;
	uint8_t origin = text->origin;

	while (event < last && at < limit) {
		const char *p = at;
		uint64_t word = digits_load(p), others = digits_others(word);
		uint32_t tid;
		unsigned n;

		while (!others) {
			p += 8;
			if (p - at > 8)
				goto out;
			others = digits_others(digits_load(p));
		}
		if (((others & -others) >> (8 * sequence_digits)) != 0x80)
			sequence_digits = (unsigned)__builtin_ctzll(others) / 8;
		/* None more is right behind the first eight, but not at the line's beginning. */
		if (!sequence_digits && p == at)
			break;
		p += sequence_digits;
		if (*p++ != ' ')
			break;

		word = digits_load(p);
		others = digits_others(word);
		if (((others & -others) >> (8 * tid_digits)) != 0x80) {
			tid_digits = digits_count(word);
			if (!tid_digits || tid_digits > 7) {
				tid_digits = 1;
				break;
			}
		}
		tid = digits_value(word, tid_digits);
		p += tid_digits;
		if (*p++ != ' ')
			break;

		word = digits_load(p);
		n = digits_count(word);
		if (n - 1 >= 4 || p[n] != '\n')
			break;
		at = p + n + 1;
		*event++ = (struct event){
			.time = time, .tid = tid, .call = (__u16)digits_value4(word, n), .kind = EVENT_CALL, .origin = origin,
		};
	}
out:
	*events = event;
	return at;
}

static int cut_off(const struct input *input, struct errmsg *err)
{
	return errmsg_set(err, -EBADMSG, input->name, input->line + 1, "the trace is cut off in this line; those before it are whole");
}

static ssize_t text_read(struct trace_reader *reader, struct event *events, size_t n, struct errmsg *err)
{
	struct text *text = reader->state;
	struct input *input = &reader->input;
	struct event *event = events, *last = events + n;

	while (event < last) {
		struct event *from = event;
		char *limit, *end;
		int r = input_lines(input, event == events, &limit, err);

		if (r <= 0)
			return event > events ? event - events : r;
		if (!text->site && limit[-1] == '\n')
			input->at = (char *)fast_lines(text, input->at, limit, &event, last);
		input->line += (unsigned long)(event - from);
		if (event == last || input->at >= limit)
			continue;
		end = memchr(input->at, '\n', (size_t)(limit - input->at));
		if (!end && text->versioned)
			return event > events ? event - events : cut_off(input, err);
		r = slow_line(reader, input->at, end ? end : limit, event, err);
		if (r < 0)
			return event > events ? event - events : r;
		event += r;
		input->line++;
		input->at = end ? end + 1 : limit;
	}
	return event - events;
}

/* The header is all there is before the first event; it is read by reading, and then put back. */
static int read_head(struct trace_reader *reader, struct errmsg *err)
{
	const struct text *text = reader->state;
	struct input *input = &reader->input;
	struct event event;
	char *limit;
	int r;

	while ((r = input_lines(input, true, &limit, err)) > 0) {
		char *end = memchr(input->at, '\n', (size_t)(limit - input->at));
		const char *at = input->at;

		while (at < limit && is_blank(*at))
			at++;
		if (at == limit || (*at != '#' && *at != '\n'))
			return 0;
		r = slow_line(reader, input->at, end ? end : limit, &event, err);
		if (r < 0)
			return r;
		if (!end && text->versioned)
			return cut_off(input, err);
		if (r)
			return 0;
		input->line++;
		input->at = end ? end + 1 : limit;
	}
	return r;
}

static int text_open(struct trace_reader *reader, struct errmsg *err)
{
	struct text *text = reader->state;
	int r = read_head(reader, err);

	text->opened = true;
	return r;
}

const struct reader_ops text_reader = {
	.state_size = sizeof(struct text),
	.open = text_open,
	.read = text_read,
};
