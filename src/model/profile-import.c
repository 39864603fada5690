/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "base/options.h"
#include "model/profile-internal.h"
#include "model/profile-text.h"
#include "model/symbol.h"

#define LINE_MAX_BYTES (SESSION_SYMBOLS_MAX * 32)

struct importing {
	FILE *in;
	const char *name, *path;
	char *line;
	size_t allocated;
	unsigned long number;
	struct errmsg *err;

	struct profile *profile;
	struct profile_info info;
	char *application;
	uint64_t sample_limit;
	bool has_arch;

	/* the run that is being read */
	bool in_run, added;
	struct profile_run run;
	struct counts counts;
	size_t allocated_grams;
	struct sites sites;
	uint16_t *symbols; /* of a session */
};

static int bad(const struct importing *m, const char *what)
{
	return errmsg_set(m->err, -EBADMSG, m->name, m->number, "%s", what);
}

static int no_memory(const struct importing *m)
{
	return errmsg_errno(m->err, -ENOMEM, m->name, "cannot read the profile's text");
}

/* The next word of the line, cut off in place; NULL at the end. */
static char *next_word(char **rest)
{
	char *word = *rest + strspn(*rest, " "), *end = word + strcspn(word, " ");

	if (!*word)
		return NULL;
	*rest = *end ? end + 1 : end;
	*end = '\0';
	return word;
}

static int get_number(const struct importing *m, char **rest, uint64_t max, uint64_t *ret_value)
{
	char *word = next_word(rest);
	unsigned long long value;

	if (!word || parse_uint(word, 0, max, &value) < 0)
		return bad(m, "a whole number is expected here");
	*ret_value = value;
	return 0;
}

static int get_hex(const struct importing *m, char **rest, uint64_t *ret_value)
{
	char *word = next_word(rest), *end;

	if (!word || strlen(word) != 16 || strspn(word, "0123456789abcdef") != 16)
		return bad(m, "sixteen hexadecimal digits are expected here");
	*ret_value = strtoull(word, &end, 16);
	return *ret_value > INT64_MAX ? bad(m, "the number is too large") : 0;
}

/* The rest of the line, with \xNN as the byte it means. */
static int get_text(const struct importing *m, char **rest, char **ret_text)
{
	char *text = strdup(*rest), *to = text;

	if (!text)
		return no_memory(m);
	for (const char *from = text; *from; to++) {
		if (*from == '\\' && from[1] == 'x' && isxdigit((unsigned char)from[2]) && isxdigit((unsigned char)from[3])) {
			char digits[3] = { from[2], from[3], '\0' };

			*to = (char)strtoul(digits, NULL, 16);
			from += 4;
			if (!*to) {
				free(text);
				return bad(m, "a text has no byte 0");
			}
		} else {
			*to = *from++;
		}
	}
	*to = '\0';
	if (strlen(text) > PROFILE_TEXT_MAX) {
		free(text);
		return bad(m, "the text is too long");
	}
	free(*ret_text);
	*ret_text = text;
	return 0;
}

static int get_symbol(const struct importing *m, const char *word)
{
	int symbol = symbol_by_word(m->info.arch, word);

	return symbol < 0 ? bad(m, "there is a word that is no call of this architecture") : symbol;
}

static int read_gram(struct importing *m, char *rest)
{
	struct gram gram = { 0 };
	char *word;
	int r;

	r = get_number(m, &rest, INT64_MAX, &gram.count);
	if (r >= 0)
		r = get_number(m, &rest, INT64_MAX, &gram.sessions);
	while (r >= 0 && (word = next_word(&rest))) {
		if (gram.n == m->info.length)
			return bad(m, "the sequence is too long");
		r = get_symbol(m, word);
		if (r >= 0)
			gram.symbols[gram.n++] = (uint16_t)r;
	}
	if (r < 0)
		return r;
	if (m->counts.n_grams == m->allocated_grams) {
		size_t n = m->allocated_grams ? 2 * m->allocated_grams : 256;
		struct gram *grams = realloc(m->counts.grams, n * sizeof(*grams));

		if (!grams)
			return no_memory(m);
		m->counts.grams = grams;
		m->allocated_grams = n;
	}
	m->counts.grams[m->counts.n_grams++] = gram;
	return 0;
}

static int read_origin(struct importing *m, char *rest)
{
	uint64_t origin, calls, sessions;
	int r = get_number(m, &rest, ORIGIN_KINDS - 1, &origin);

	if (r >= 0)
		r = get_number(m, &rest, INT64_MAX, &calls);
	if (r >= 0)
		r = get_number(m, &rest, INT64_MAX, &sessions);
	if (r < 0)
		return r;
	m->counts.origins[origin] = calls;
	m->counts.origin_sessions[origin] = sessions;
	return 0;
}

static int read_module(struct importing *m, char *rest)
{
	char *build_id = next_word(&rest), *path = NULL;
	unsigned expected = m->sites.modules.n;
	int r;

	if (!build_id || strlen(build_id) > 40 || (strcmp(build_id, "-") && build_id[strspn(build_id, "0123456789abcdef")]))
		return bad(m, "a build-id or '-' is expected here");
	r = get_text(m, &rest, &path);
	if (r < 0)
		return r;
	r = modules_add(&m->sites.modules, path, strcmp(build_id, "-") ? build_id : NULL, 0, 0);
	free(path);
	if (r == -ENOMEM)
		return no_memory(m);
	return r < 0 || (unsigned)r != expected ? bad(m, "there are too many modules, or this one twice") : 0;
}

static int read_site(struct importing *m, char *rest)
{
	unsigned long long offset, call;
	uint64_t count, module;
	const struct module *file;
	size_t before = m->sites.n;
	char *word, *end;
	int r;

	r = get_number(m, &rest, (1ULL << 56) - 1, &count);
	if (r >= 0)
		r = get_number(m, &rest, MODULE_MAX, &module);
	if (r < 0)
		return r;
	file = modules_get(&m->sites.modules, (unsigned)module);
	word = next_word(&rest);
	if (!file || !word || word[0] != '0' || word[1] != 'x' || !isxdigit((unsigned char)word[2]) || strlen(word) > 14)
		return bad(m, "a module from above and an offset in it are expected here");
	offset = strtoull(word, &end, 16);
	word = next_word(&rest);
	if (*end || !word)
		return bad(m, "an offset and a call are expected here");
	r = syscall_by_name(m->info.arch, word);
	if (r >= 0)
		call = (unsigned)r;
	else if (parse_uint(word, 0, CALL_INVALID, &call) < 0)
		return bad(m, "there is a word that is no call of this architecture");
	r = sites_add_one(&m->sites, file->path, file->build_id, (uint32_t)call, offset, count);
	if (r < 0)
		return no_memory(m);
	return m->sites.n == before ? bad(m, "this call site comes twice") : 0;
}

/* The profile is made when the first run begins: then the lines before have said what it is of. */
static int make_profile(struct importing *m)
{
	int r;

	if (!m->has_arch || !m->info.length)
		return bad(m, "what the profile is of must be said before: arch, length");
	m->info.application = m->application;
	r = profile_open(m->path, PROFILE_CREATE, &m->info, &m->profile, m->err);
	if (r >= 0)
		r = profile_begin(m->profile, m->err);
	return r < 0 ? r : profile_lower_sample_limit(m->profile, m->sample_limit, m->err);
}

/* Everything of the run but its sessions has been read. */
static int add_run(struct importing *m)
{
	int r;

	if (!m->in_run || m->added)
		return 0;
	m->added = true;
	if (m->run.date < 0)
		return bad(m, "the learning run that ends here has no date");
	if (counts_check(&m->counts) < 0)
		return bad(m, "the learning run that ends here is not what it says: its sequences and its sums do not agree");
	r = profile_add_run(m->profile, &m->run, &m->counts, m->err);
	return r < 0 ? r : profile_add_sites(m->profile, m->run.id, &m->sites, m->err);
}

static void run_done(struct importing *m)
{
	free((char *)m->run.source);
	free((char *)m->run.sensor);
	free((char *)m->run.build_id);
	counts_done(&m->counts);
	sites_done(&m->sites);
	sites_init(&m->sites);
	m->run = (struct profile_run){ 0 };
	m->counts = (struct counts){ .length = m->info.length };
	m->allocated_grams = 0;
	m->in_run = m->added = false;
}

static int read_session(struct importing *m, char *rest)
{
	struct session session = { 0 };
	uint64_t copies;
	char *word;
	int r = add_run(m);

	if (r >= 0)
		r = get_number(m, &rest, 1ULL << 56, &copies);
	if (r >= 0)
		r = get_number(m, &rest, INT64_MAX, &session.time);
	if (r < 0)
		return r;
	if (!m->symbols)
		m->symbols = malloc(SESSION_SYMBOLS_MAX * sizeof(*m->symbols));
	if (!m->symbols)
		return no_memory(m);
	while ((word = next_word(&rest))) {
		if (session.n == SESSION_SYMBOLS_MAX)
			return bad(m, "the session is too long");
		r = get_symbol(m, word);
		if (r < 0)
			return r;
		m->symbols[session.n++] = (uint16_t)r;
	}
	session.symbols = m->symbols;
	if (session_check(&session) < 0 || !copies)
		return bad(m, "this is no session");
	return profile_add_session(m->profile, m->run.id, &session, copies, m->err);
}

static int begin_run(struct importing *m)
{
	int r = m->profile ? add_run(m) : make_profile(m);

	if (r < 0)
		return r;
	run_done(m);
	m->in_run = true;
	m->run.date = -1;
	return 0;
}

static int read_head_line(struct importing *m, const char *key, char *rest)
{
	uint64_t number;
	char *word;
	int r;

	if (!strcmp(key, "application"))
		return get_text(m, &rest, &m->application);
	if (!strcmp(key, "length")) {
		r = get_number(m, &rest, LENGTH_MAX, &number);
		if (r >= 0 && number < LENGTH_MIN)
			r = bad(m, "the sequence length is too small");
		m->info.length = r < 0 ? 0 : (unsigned)number;
		return r;
	}
	if (!strcmp(key, "sample-limit"))
		return get_hex(m, &rest, &m->sample_limit);
	if (!strcmp(key, "arch")) {
		word = next_word(&rest);
		r = !word ? -EINVAL : strcmp(word, arch_name(ARCH_UNKNOWN)) ? arch_by_name(word) : ARCH_UNKNOWN;
		if (r < 0)
			return bad(m, "there is no such architecture");
		m->info.arch = (enum syscall_arch)r;
		m->has_arch = true;
		return 0;
	}
	return bad(m, "this line is not understood");
}

static int read_run_line(struct importing *m, const char *key, char *rest)
{
	const struct {
		const char *key;
		uint64_t *number;
	} numbers[] = {
		{ "calls", &m->counts.calls }, { "sessions", &m->counts.sessions }, { "gaps", &m->counts.gaps },
		{ "lost", &m->counts.lost }, { "date", (uint64_t *)&m->run.date },
	};

	if (!strcmp(key, "session"))
		return read_session(m, rest);
	if (m->added)
		return bad(m, "sessions come last in a learning run");
	if (!strcmp(key, "gram"))
		return read_gram(m, rest);
	if (!strcmp(key, "module"))
		return read_module(m, rest);
	if (!strcmp(key, "site"))
		return read_site(m, rest);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		if (!strcmp(key, numbers[i].key))
			return get_number(m, &rest, INT64_MAX, numbers[i].number);
	if (!strcmp(key, "origin"))
		return read_origin(m, rest);
	if (!strcmp(key, "source"))
		return get_text(m, &rest, (char **)&m->run.source);
	if (!strcmp(key, "sensor"))
		return get_text(m, &rest, (char **)&m->run.sensor);
	if (!strcmp(key, "build-id"))
		return get_text(m, &rest, (char **)&m->run.build_id);
	if (!strcmp(key, "source-hash"))
		return get_hex(m, &rest, &m->run.source_hash);
	return bad(m, "this line is not understood");
}

static int read_line(struct importing *m, char *line)
{
	char *rest = line, *key;

	/* Texts keep the spaces they begin with: only one goes with the key. */
	key = next_word(&rest);
	if (!key || *key == '#')
		return 0;
	if (!strcmp(key, "run"))
		return begin_run(m);
	return m->in_run ? read_run_line(m, key, rest) : read_head_line(m, key, rest);
}

static int read_all(struct importing *m)
{
	bool first = true;
	int r = 0;

	while (r >= 0) {
		ssize_t n = getline(&m->line, &m->allocated, m->in);

		if (n < 0)
			break;
		m->number++;
		if (n > LINE_MAX_BYTES)
			return bad(m, "the line is too long");
		if (memchr(m->line, '\0', (size_t)n))
			return bad(m, "this is not text");
		m->line[strcspn(m->line, "\r\n")] = '\0';
		if (first) {
			unsigned long long version;

			if (strncmp(m->line, "imsafe-profile ", 15))
				return bad(m, "this is not the text of a profile");
			if (parse_uint(m->line + 15, 0, UINT32_MAX, &version) < 0 || version != PROFILE_VERSION)
				return errmsg_set(m->err, -EPROTONOSUPPORT, m->name, 1, "the text has another version; this program "
						  "knows %d", PROFILE_VERSION);
			first = false;
			continue;
		}
		r = read_line(m, m->line);
	}
	if (r < 0)
		return r;
	if (ferror(m->in))
		return errmsg_errno(m->err, -errno, m->name, "cannot read it");
	if (first)
		return errmsg_set(m->err, -EBADMSG, m->name, 0, "this is not the text of a profile: it is empty");
	r = m->profile ? add_run(m) : make_profile(m);
	return r < 0 ? r : profile_commit(m->profile, m->err);
}

int profile_import(const char *path, FILE *in, const char *name, struct errmsg *err)
{
	struct importing m = { .in = in, .name = name, .path = path, .err = err, .sample_limit = INT64_MAX };
	int r;

	if (!access(path, F_OK))
		return errmsg_set(err, -EEXIST, path, 0, "there is a file already");
	sites_init(&m.sites);
	r = read_all(&m);
	run_done(&m);
	sites_done(&m.sites);
	profile_close(m.profile);
	free(m.application);
	free(m.symbols);
	free(m.line);
	return r;
}
