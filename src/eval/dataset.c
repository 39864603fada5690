/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "eval/dataset.h"

#include <ctype.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "model/learner.h"
#include "trace/trace.h"

#define EVENTS    4096
#define DEPTH_MAX 8 /* of folders below that of a role */

static const char *const role_folders[][2] = {
	[ROLE_TRAINING] = { "training", "train" },
	[ROLE_NORMAL] = { "normal", "normals" },
	[ROLE_ATTACK] = { "attack", "intrusion" },
};

/* The files that are to be read, found before the first is read. */
struct entry {
	char *path;
	enum role role;
	uint32_t attack;
};

struct loader {
	struct dataset *set;
	struct entry *entries;
	size_t n, allocated;
	uint32_t file_first; /* first process of the file being read */
};

static void loader_done(struct loader *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->entries[i].path);
	free(l->entries);
}

static void dirents_free(struct dirent **list, int n)
{
	for (int i = 0; i < n; i++)
		free(list[i]);
	free(list);
}

static int is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static char *join(const char *folder, const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}

static bool is_folder(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISDIR(st.st_mode);
}

/* The folder of a role, under either of its names; NULL if there is none. */
static char *role_folder(const char *path, enum role role)
{
	for (int i = 0; i < 2; i++) {
		_cleanup_free_ char *folder = join(path, role_folders[role][i]);

		if (folder && is_folder(folder))
			return TAKE_PTR(folder);
	}
	return NULL;
}

bool dataset_is(const char *path)
{
	_cleanup_free_ char *normal = role_folder(path, ROLE_NORMAL), *attack = role_folder(path, ROLE_ATTACK);

	return normal && attack;
}

static int add_entry(struct loader *l, const char *path, enum role role, uint32_t attack)
{
	if (l->n == l->allocated) {
		size_t more = l->allocated ? 2 * l->allocated : 256;
		struct entry *entries = realloc(l->entries, more * sizeof(*entries));

		if (!entries)
			return -ENOMEM;
		l->entries = entries;
		l->allocated = more;
	}
	l->entries[l->n] = (struct entry){ .path = strdup(path), .role = role, .attack = attack };
	return l->entries[l->n++].path ? 0 : -ENOMEM;
}

/* "Hydra_FTP_10" and "fwd-loops-3.int" are of the kinds "Hydra_FTP" and "fwd-loops". */
static int add_kind(struct dataset *set, const char *name, uint32_t *ret_kind)
{
	const char *dot = strrchr(name, '.');
	size_t n = dot && dot > name ? (size_t)(dot - name) : strlen(name), end = n;
	char **kinds;

	while (end && isdigit((unsigned char)name[end - 1]))
		end--;
	if (end < n && end > 1 && strchr("_-. ", name[end - 1]))
		n = end - 1;
	for (*ret_kind = 0; *ret_kind < set->n_kinds; ++*ret_kind)
		if (strlen(set->kinds[*ret_kind]) == n && !memcmp(set->kinds[*ret_kind], name, n))
			return 0;
	kinds = realloc(set->kinds, (set->n_kinds + 1) * sizeof(*kinds));
	if (!kinds)
		return -ENOMEM;
	set->kinds = kinds;
	kinds[set->n_kinds] = strndup(name, n);
	return kinds[set->n_kinds] ? (int)(set->n_kinds++, 0) : -ENOMEM;
}

static int add_attack(struct dataset *set, const char *name, uint32_t *ret_attack)
{
	struct attack *attacks = realloc(set->attacks, (set->n_attacks + 1) * sizeof(*attacks));
	struct attack *attack;

	if (!attacks)
		return -ENOMEM;
	set->attacks = attacks;
	attack = &attacks[set->n_attacks];
	*attack = (struct attack){ .name = strdup(name) };
	if (!attack->name)
		return -ENOMEM;
	*ret_attack = (uint32_t)set->n_attacks++;
	return add_kind(set, name, &attack->kind);
}

/* A pipe, say, which to open would be to wait. */
static bool is_special(const char *path)
{
	struct stat st;

	return !stat(path, &st) && !S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode);
}

/* All files under a folder, in order of name. Right under attack/, each name is an attack of its own. */
static int find_files(struct loader *l, const char *folder, enum role role, int depth, uint32_t attack, struct errmsg *err)
{
	struct dirent **list;
	int n = scandir(folder, &list, is_visible, by_name), r = 0;

	if (n < 0)
		return errmsg_errno(err, -errno, folder, "cannot list");
	for (int i = 0; i < n && r >= 0; i++) {
		_cleanup_free_ char *path = join(folder, list[i]->d_name);

		if (path && is_special(path))
			continue;
		if (path && role == ROLE_ATTACK && !depth)
			r = add_attack(l->set, list[i]->d_name, &attack);
		if (!path || r < 0)
			r = errmsg_errno(err, -ENOMEM, folder, "cannot list");
		else if (is_folder(path))
			r = depth < DEPTH_MAX ? find_files(l, path, role, depth + 1, attack, err) :
						errmsg_set(err, -ELOOP, path, 0, "folders lie too deep in each other");
		else if (add_entry(l, path, role, attack) < 0)
			r = errmsg_errno(err, -ENOMEM, folder, "cannot list");
	}
	dirents_free(list, n);
	return r;
}

static int make_room(void *array, size_t n, size_t *allocated, size_t size)
{
	size_t more = *allocated ? 2 * *allocated : 256;
	void *grown;

	if (n < *allocated)
		return 0;
	grown = realloc(*(void **)array, more * size);
	if (!grown)
		return -ENOMEM;
	*(void **)array = grown;
	*allocated = more;
	return 0;
}

/* A session that goes on after the learner cut it is one process all the same. */
static int add_session(void *data, const struct session *session)
{
	struct loader *l = data;
	struct dataset *set = l->set;
	struct process *last = set->n_processes > l->file_first ? &set->processes[set->n_processes - 1] : NULL;
	uint16_t *symbols;

	set->calls += session_calls(session);
	if (last && last->session.tid == session->tid && session_calls(&last->session) % SESSION_MAX == 0 &&
	    session->symbols[0] < ALPHABET) {
		symbols = realloc((void *)last->session.symbols, (last->session.n + session->n) * sizeof(*symbols));
		if (!symbols)
			return -ENOMEM;
		memcpy(symbols + last->session.n, session->symbols, session->n * sizeof(*symbols));
		last->session.symbols = symbols;
		last->session.n += session->n;
		last->hash = session_hash(&last->session);
		return 0;
	}
	if (make_room(&set->processes, set->n_processes, &set->allocated_processes, sizeof(*set->processes)) < 0)
		return -ENOMEM;
	symbols = malloc(session->n * sizeof(*symbols));
	if (!symbols)
		return -ENOMEM;
	memcpy(symbols, session->symbols, session->n * sizeof(*symbols));
	set->processes[set->n_processes++] = (struct process){
		.session = { .symbols = symbols, .n = session->n, .time = session->time, .tid = session->tid },
		.hash = session_hash(session),
	};
	return 0;
}

static int read_file(struct loader *l, const char *path, struct errmsg *err)
{
	_cleanup_(learner_freep) struct learner *learner = learner_new(LENGTH_MIN, add_session, l);
	_cleanup_(trace_reader_closep) struct trace_reader *reader = NULL;
	struct dataset *set = l->set;
	struct event events[EVENTS];
	enum syscall_arch arch;
	ssize_t n;
	int r = trace_reader_open(path, TRACE_AUTO, &reader, err);

	if (r < 0)
		return r;
	arch = trace_reader_info(reader)->arch;
	if (set->files && arch != set->arch)
		return errmsg_set(err, -EINVAL, path, 0, "the trace is of architecture %s, those before are of %s", arch_name(arch),
				  arch_name(set->arch));
	set->arch = arch;
	set->files++;
	l->file_first = (uint32_t)set->n_processes;
	while ((n = trace_reader_read(reader, events, EVENTS, err)) > 0)
		if (!learner || learner_add(learner, events, (size_t)n) < 0)
			return errmsg_errno(err, -ENOMEM, path, "cannot read the trace");
	if (n < 0)
		return (int)n;
	if (!learner || learner_end_trace(learner) < 0)
		return errmsg_errno(err, -ENOMEM, path, "cannot read the trace");
	return 0;
}

static int add_unit(struct dataset *set, const struct entry *entry, uint32_t first, uint32_t n)
{
	if (make_room(&set->units, set->n_units, &set->allocated_units, sizeof(*set->units)) < 0)
		return -ENOMEM;
	set->units[set->n_units++] = (struct unit){
		.role = entry->role, .attack = entry->attack, .first = first, .n = n, .file = (uint32_t)set->files - 1,
	};
	set->roles[entry->role]++;
	if (entry->role == ROLE_ATTACK)
		set->attacks[entry->attack].units++;
	return 0;
}

/* The file's processes become units. A file without calls is none. */
static int add_units(struct loader *l, const struct entry *entry)
{
	uint32_t first = l->file_first, n = (uint32_t)l->set->n_processes - first;
	int r = 0;

	if (entry->role == ROLE_ATTACK)
		return n ? add_unit(l->set, entry, first, n) : 0;
	for (uint32_t i = 0; i < n && r >= 0; i++)
		r = add_unit(l->set, entry, first + i, 1);
	return r;
}

static int load(struct loader *l, const char *path, void (*progress)(void *data, double share), void *data,
		struct errmsg *err)
{
	struct dataset *set = l->set;

	for (int role = ROLE_TRAINING; role <= ROLE_ATTACK; role++) {
		_cleanup_free_ char *folder = role_folder(path, (enum role)role);
		int r;

		if (!folder && role == ROLE_TRAINING)
			continue;
		if (!folder)
			return errmsg_set(err, -ENOENT, path, 0, "there is no folder '%s' in it; see 'imsafe eval --help'",
					  role_folders[role][0]);
		r = find_files(l, folder, (enum role)role, 0, 0, err);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < l->n; i++) {
		int r = read_file(l, l->entries[i].path, err);

		if (r < 0)
			return r;
		if (add_units(l, &l->entries[i]) < 0)
			return errmsg_errno(err, -ENOMEM, path, "cannot load the data set");
		if (progress)
			progress(data, (double)(i + 1) / (double)l->n);
	}
	set->has_training = set->roles[ROLE_TRAINING] > 0;
	if (set->roles[ROLE_NORMAL] < (set->has_training ? 1 : 2))
		return errmsg_set(err, -ENODATA, path, 0, "there are too few normal traces to test with");
	if (!set->roles[ROLE_ATTACK])
		return errmsg_set(err, -ENODATA, path, 0, "there is no attack to detect");
	return 0;
}

int dataset_load(const char *path, const char *name, void (*progress)(void *data, double share), void *data,
		 struct dataset **ret_set, struct errmsg *err)
{
	_cleanup_(dataset_freep) struct dataset *set = calloc(1, sizeof(*set));
	_cleanup_(loader_done) struct loader loader = { .set = set };
	int r;

	if (!set || !(set->name = strdup(name)))
		return errmsg_errno(err, -ENOMEM, path, "cannot load the data set");
	r = load(&loader, path, progress, data, err);
	if (r < 0)
		return r;
	*ret_set = TAKE_PTR(set);
	return 0;
}

struct dataset *dataset_free(struct dataset *set)
{
	if (!set)
		return NULL;
	for (size_t i = 0; i < set->n_processes; i++)
		free((void *)set->processes[i].session.symbols);
	for (size_t i = 0; i < set->n_attacks; i++)
		free(set->attacks[i].name);
	for (size_t i = 0; i < set->n_kinds; i++)
		free(set->kinds[i]);
	free(set->processes);
	free(set->units);
	free(set->attacks);
	free(set->kinds);
	free(set->name);
	free(set);
	return NULL;
}
