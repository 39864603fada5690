/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "alarm/group.h"

#include <string.h>

#include "trace/thread-table.h"

/* Files that foreign calls came from; what comes from further ones is like nothing. */
#define MODULES_MAX 1024
/* The driver does not tell when threads end: those of so many open episodes are forgotten together. */
#define EPISODES_MAX 65536

enum oddity_kind { ODD_UNSEEN, ODD_DEAR, ODD_FOREIGN };

/* The episode that a thread is in. */
struct episode {
	uint64_t group, alarm;
	bool told; /* in full: what follows is the reader's to look at, and from then on usual for the group */
};

struct groups {
	struct group *group[GROUPS_MAX]; /* by number */
	size_t n;
	uint64_t forgotten;
	struct modules modules;
	struct thread_table *episodes;
};

struct groups *groups_new(void)
{
	_cleanup_(groups_freep) struct groups *groups = calloc(1, sizeof(*groups));

	if (!groups)
		return NULL;
	modules_init(&groups->modules);
	groups->episodes = thread_table_new(sizeof(struct episode));
	return groups->episodes ? TAKE_PTR(groups) : NULL;
}

static struct group *group_free(struct group *group)
{
	if (group) {
		free(group->exe);
		free(group->build_id);
		free(group->cause);
		free(group);
	}
	return NULL;
}
DEFINE_CLEANUP(struct group *, group_free)

struct groups *groups_free(struct groups *groups)
{
	if (groups) {
		for (size_t i = 0; i < groups->n; i++)
			group_free(groups->group[i]);
		modules_done(&groups->modules);
		thread_table_free(groups->episodes);
		free(groups);
	}
	return NULL;
}

/* The same file has the same number in all streams. 0: it is in none, or there are too many to tell. */
static unsigned module_number(struct groups *groups, const char *path, const char *build_id)
{
	unsigned known = modules_find(&groups->modules, path, build_id, 0, 0);
	int r = known ? (int)known : groups->modules.n < MODULES_MAX ? modules_add(&groups->modules, path, build_id, 0, 0) : 0;

	return r > 0 ? (unsigned)r : 0;
}

/*
 * Addresses on stacks and heaps differ from process to process and are left out; a place in a file is told to the byte
 * where it is the place that is wrong, else to the page.
 */
static struct oddity foreign_oddity(struct groups *groups, const struct scored_call *call, const struct modules *modules,
				    const struct process_place *place)
{
	const struct event *event = &call->event;
	const struct module *module = modules ? modules_get(modules, SITE_MODULE(event->site)) : NULL;
	uint64_t page = EVENT_ORIGIN(event->origin) == ORIGIN_STRAY ? ~0ULL : ~0xfffULL;
	struct oddity oddity = { .kind = ODD_FOREIGN, .call = event->call, .origin = event->origin };

	if (module)
		oddity.where = SITE(module_number(groups, module->path, module->build_id), SITE_OFFSET(event->site) & page);
	else if (place && *place->file)
		oddity.where = SITE(module_number(groups, place->file, NULL), place->offset & page);
	return oddity;
}

static bool is_unseen(const struct scored_call *call, const struct policy *policy)
{
	return !(call->verdict.flags & VERDICT_SEEN) ||
	       (policy->reading == READING_SEQUENCES && call->verdict.flags & VERDICT_MISMATCHED);
}

static struct oddity mean_oddity(const struct scored_call *call, enum oddity_kind kind)
{
	return (struct oddity){ .kind = (uint8_t)kind, .node = call->node,
				.call = (uint16_t)event_symbol(call->event.call, call->event.origin) };
}

static unsigned find_oddity(const struct oddity *oddities, unsigned n, const struct oddity *oddity)
{
	unsigned i = 0;

	while (i < n && memcmp(&oddities[i], oddity, sizeof(*oddity)))
		i++;
	return i;
}

static void collect(struct oddity *oddities, unsigned *n, struct oddity oddity)
{
	if (find_oddity(oddities, *n, &oddity) == *n)
		oddities[(*n)++] = oddity;
}

/* What made this alarm, each once. */
static unsigned alarm_oddities(struct groups *groups, const struct explanation *e, uint16_t flags,
			       struct oddity oddities[HISTORY_CALLS + 1])
{
	const struct explained_call *last = &e->calls[e->n_calls - 1];
	uint16_t limit = e->policy->window[e->alarm->window].limit;
	unsigned n = 0;

	if (flags & VERDICT_ALARM) {
		for (size_t i = e->n_calls - e->window; i < e->n_calls; i++)
			if (is_unseen(e->calls[i].scored, e->policy))
				collect(oddities, &n, mean_oddity(e->calls[i].scored, ODD_UNSEEN));
		for (size_t i = e->n_calls - e->window, unseen = n; !unseen && i < e->n_calls; i++)
			if (e->calls[i].scored->verdict.cost > limit)
				collect(oddities, &n, mean_oddity(e->calls[i].scored, ODD_DEAR));
	}
	if (last->scored->verdict.flags & VERDICT_FOREIGN)
		collect(oddities, &n, foreign_oddity(groups, last->scored, e->modules, &last->place));
	return n;
}

/* All were shown before, and if there is nothing to show, there never was. */
static bool all_shown(const struct group *group, const struct oddity *oddities, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		unsigned at = find_oddity(group->oddities, group->n_oddities, &oddities[i]);

		if (at == group->n_oddities || !group->shown[at])
			return false;
		/* A place in a file that we have no number for. */
		if (oddities[i].where && !SITE_MODULE(oddities[i].where))
			return false;
	}
	return n || !group->n_oddities || !group->shown[0];
}

static void learn_oddity(struct group *group, const struct oddity *oddity, bool shown)
{
	unsigned at = find_oddity(group->oddities, group->n_oddities, oddity);

	if (at == GROUP_ODDITIES_MAX)
		return;
	if (at == group->n_oddities) {
		group->oddities[group->n_oddities++] = *oddity;
		group->shown[at] = false;
	}
	group->shown[at] |= shown;
}

/* The driver gives addresses, and asking for the file of each would be slow: then the call and the kind of memory have to do. */
static bool knows(const struct group *group, const struct oddity *oddity)
{
	if (oddity->kind != ODD_FOREIGN || oddity->where)
		return find_oddity(group->oddities, group->n_oddities, oddity) < group->n_oddities;
	for (unsigned i = 0; i < group->n_oddities; i++)
		if (group->oddities[i].kind == ODD_FOREIGN && group->oddities[i].call == oddity->call &&
		    group->oddities[i].origin == oddity->origin)
			return true;
	return false;
}

static uint16_t alarm_kind(const struct explanation *e)
{
	return e->alarm->flags & VERDICT_ALARMS;
}

static bool same_program(const struct group *group, const struct explanation *e)
{
	return group->image == e->image->header->checksum && group->flags == alarm_kind(e) &&
	       !strcmp(group->exe, e->process.exe) && !strcmp(group->build_id, e->process.build_id);
}

static struct group *find_group(const struct groups *groups, uint64_t number)
{
	for (size_t i = 0; i < groups->n; i++)
		if (groups->group[i]->number == number)
			return groups->group[i];
	return NULL;
}

static void forget_one(struct groups *groups, struct grouping *grouping)
{
	size_t oldest = 0;

	for (size_t i = 1; i < groups->n; i++)
		if (groups->group[i]->latest < groups->group[oldest]->latest)
			oldest = i;
	grouping->forgot = true;
	grouping->forgotten = groups->group[oldest]->number;
	group_free(groups->group[oldest]);
	groups->n--;
	memmove(&groups->group[oldest], &groups->group[oldest + 1], (groups->n - oldest) * sizeof(*groups->group));
	groups->forgotten++;
}

static struct group *new_group(struct groups *groups, const struct explanation *e, uint64_t number, struct grouping *grouping)
{
	_cleanup_(group_freep) struct group *group = calloc(1, sizeof(*group));
	uint8_t origin = e->calls[e->n_calls - 1].scored->event.origin;
	char cause[512];

	if (!group)
		return NULL;
	group->stray = EVENT_ORIGIN(origin) == ORIGIN_STRAY && EVENT_ABI(origin) == ABI_NATIVE;
	group->number = number;
	group->flags = alarm_kind(e);
	group->image = e->image->header->checksum;
	group->exe = strdup(e->process.exe);
	group->build_id = strdup(e->process.build_id);
	group->cause = strdup(explanation_cause(e, cause, sizeof(cause)));
	group->first = e->time;
	group->first_sequence = e->alarm->sequence;
	explanation_name(e, group->name, sizeof(group->name));
	if (!group->exe || !group->build_id || !group->cause)
		return NULL;
	if (groups->n == GROUPS_MAX)
		forget_one(groups, grouping);
	groups->group[groups->n++] = group;
	return TAKE_PTR(group);
}

/* Who made it: true if this user is the group's first. */
static bool add_user(struct group *group, uint32_t uid)
{
	for (unsigned i = 0; i < group->n_users; i++)
		if (group->users[i] == uid)
			return false;
	/* The last place is root's. */
	if (group->n_users < GROUP_USERS_MAX - (uid != 0))
		group->users[group->n_users++] = uid;
	return true;
}

static void add_process(struct group *group, uint32_t pid)
{
	group->latest_pid = pid;
	for (unsigned i = 0; i < group->n_pids; i++)
		if (group->pids[i] == pid)
			return;
	if (group->n_pids < GROUP_PIDS_MAX)
		group->pids[group->n_pids++] = pid;
}

static bool users_full(const struct group *group)
{
	return group->n_users >= GROUP_USERS_MAX - 1;
}

/* The thread's episode from here on; without memory for it, it is not followed on. */
static void open_episode(struct groups *groups, const struct explanation *e, const struct group *group, uint64_t number, bool told)
{
	struct episode *episode;
	bool is_new;

	if (thread_table_count(groups->episodes) >= EPISODES_MAX) {
		struct thread_table *empty = thread_table_new(sizeof(struct episode));

		if (!empty)
			return;
		thread_table_free(groups->episodes);
		groups->episodes = empty;
	}
	episode = thread_table_get(groups->episodes, e->alarm->tid, &is_new);
	if (episode)
		*episode = (struct episode){ group->number, number, told };
}

static enum group_news judge_news(const struct group *group, const struct explanation *e, bool new_user, bool users_were_full)
{
	if (!group->count)
		return NEWS_CAUSE;
	if (new_user && (!users_were_full || e->process.uid == 0))
		return NEWS_USER;
	if (e->time && group->last && e->time - group->last > GROUP_SILENCE)
		return NEWS_AGAIN;
	return NEWS_NONE;
}

int groups_add(struct groups *groups, const struct explanation *e, uint64_t number, struct grouping *ret_grouping)
{
	struct oddity oddities[HISTORY_CALLS + 1];
	unsigned n = alarm_oddities(groups, e, alarm_kind(e), oddities);
	struct grouping grouping = { .alarm = number };
	struct group *group = NULL;
	bool full;

	for (size_t i = 0; i < groups->n && !group; i++)
		if (same_program(groups->group[i], e) && all_shown(groups->group[i], oddities, n))
			group = groups->group[i];
	if (!group)
		group = new_group(groups, e, number, &grouping);
	if (!group)
		return -ENOMEM;
	full = users_full(group);
	grouping.new_user = e->process.found && add_user(group, e->process.uid);
	grouping.news = judge_news(group, e, grouping.new_user, full);
	grouping.group = group;
	group->count++;
	group->latest = number;
	group->last = e->time;
	group->last_sequence = e->alarm->sequence;
	group->tainted += !!(e->alarm->flags & VERDICT_TAINTED);
	group->other_exe += e->exe_differs;
	group->other_build += e->build_differs && !e->exe_differs;
	add_process(group, e->process.found ? (uint32_t)e->process.pid : e->alarm->pid ? e->alarm->pid : e->alarm->tid);
	for (unsigned i = 0; i < n; i++)
		learn_oddity(group, &oddities[i], true);
	open_episode(groups, e, group, number, grouping.news != NEWS_NONE);
	*ret_grouping = grouping;
	return 0;
}

bool groups_unforeseen(struct groups *groups, uint32_t tid, const struct scored_call *call, const struct policy *policy,
		       const struct modules *modules)
{
	struct episode *episode = thread_table_find(groups->episodes, tid);
	struct group *group = episode ? find_group(groups, episode->group) : NULL;
	struct oddity oddity;
	bool known;

	if (!episode)
		return false;
	if (call->verdict.flags & VERDICT_FOREIGN)
		oddity = foreign_oddity(groups, call, modules, NULL);
	else if (is_unseen(call, policy))
		oddity = mean_oddity(call, ODD_UNSEEN);
	else
		return false;
	known = group && knows(group, &oddity);
	if (episode->told) {
		if (group && !known)
			learn_oddity(group, &oddity, false);
		return false;
	}
	return !known;
}

void groups_went_on(struct groups *groups, const struct explanation *e, struct grouping *ret_grouping)
{
	struct episode *episode = thread_table_find(groups->episodes, e->alarm->tid);
	struct group *group = episode ? find_group(groups, episode->group) : NULL;
	struct oddity oddities[HISTORY_CALLS + 1];
	unsigned n;

	*ret_grouping = (struct grouping){ .group = group, .news = NEWS_WENT_ON, .alarm = episode ? episode->alarm : 0 };
	if (!episode)
		return;
	episode->told = true;
	n = group ? alarm_oddities(groups, e, VERDICT_ALARM, oddities) : 0;
	for (unsigned i = 0; i < n; i++)
		learn_oddity(group, &oddities[i], true);
}

void groups_closed(struct groups *groups, uint32_t tid)
{
	if (thread_table_find(groups->episodes, tid))
		thread_table_remove(groups->episodes, tid);
}

const struct group *groups_get(const struct groups *groups, size_t i)
{
	return i < groups->n ? groups->group[i] : NULL;
}

uint64_t groups_forgotten(const struct groups *groups)
{
	return groups->forgotten;
}

const char *news_name(enum group_news news)
{
	static const char *const names[] = { "", "cause", "user", "again", "went-on" };

	return names[news];
}
