/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who processes are, noted when one begins or runs a program: when an alarm is raised, it may have ended. The tracer notes it
 * beside the events; whoever dispatches takes it up where it comes to the event that it belongs to.
 */
#include "sensor/process.h"
#include "sensor/ptrace-tracer.h"

#define NEWS_MAX 1024 /* not taken up yet; then processes stay unknown rather than that memory runs full */

struct identity {
	atomic_uint refs; /* the process's, the news', the dispatcher's */
	struct process_info info;
};

struct identity_news {
	struct identity_news *next;
	uint8_t kind; /* of the event that it belongs to */
	struct identity *identity;
};

struct identity *identity_unref(struct identity *identity)
{
	if (identity && atomic_fetch_sub(&identity->refs, 1) == 1)
		free(identity);
	return NULL;
}

void identities_init(struct identities *identities)
{
	*identities = (struct identities){ .lock = PTHREAD_MUTEX_INITIALIZER };
	identities->last = &identities->news;
}

static struct identity *identity_new(pid_t pid, const struct identity *maker)
{
	struct identity *identity = malloc(sizeof(*identity));

	if (!identity)
		return NULL;
	atomic_init(&identity->refs, 1);
	if (maker)
		process_forked(&maker->info, pid, &identity->info);
	else
		process_lookup(pid, &identity->info);
	identity->info.early = true;
	return identity->info.found ? identity : identity_unref(identity);
}

static void add_news(struct identities *identities, uint8_t kind, struct identity *identity)
{
	struct identity_news *news = malloc(sizeof(*news));

	if (!news)
		return;
	*news = (struct identity_news){ .kind = kind, .identity = identity };
	pthread_mutex_lock(&identities->lock);
	if (identities->n < NEWS_MAX) {
		atomic_fetch_add(&identity->refs, 1);
		*identities->last = news;
		identities->last = &news->next;
		identities->n++;
		news = NULL;
	}
	pthread_mutex_unlock(&identities->lock);
	free(news);
}

void identity_note(struct tracer *tracer, struct tracee *tracee, enum event_kind kind, pid_t parent)
{
	struct process *process = tracee->process;
	const struct tracee *maker = kind == EVENT_FORK ? tracee_find(tracer, parent) : NULL;

	if (!tracer->identify || tracee->tid != process->pid)
		return;
	identity_unref(process->identity);
	process->identity = identity_new(process->pid, maker ? maker->process->identity : NULL);
	if (process->identity)
		add_news(&tracer->identities, (uint8_t)kind, process->identity);
}

/* Takes what stands first. */
static struct identity_news *take_first(struct identities *identities)
{
	struct identity_news *news = identities->news;

	identities->news = news->next;
	if (!news->next)
		identities->last = &identities->news;
	identities->n--;
	return news;
}

static void forget(struct identities *identities, uint32_t pid)
{
	struct identity **known = thread_table_find(identities->known, pid);

	if (!known)
		return;
	identity_unref(*known);
	thread_table_remove(identities->known, pid);
}

static void know(struct identities *identities, struct identity *identity)
{
	bool is_new;
	struct identity **known = thread_table_get(identities->known, (uint32_t)identity->info.pid, &is_new);

	if (!known) {
		identity_unref(identity);
		return;
	}
	if (!is_new)
		identity_unref(*known);
	*known = identity;
}

/* The news of this event, and all before it: their events did not fit into the queue. */
static void take_up(struct identities *identities, const struct event *event)
{
	const struct identity_news *wanted;

	pthread_mutex_lock(&identities->lock);
	for (wanted = identities->news; wanted; wanted = wanted->next)
		if (wanted->kind == event->kind && (uint32_t)wanted->identity->info.pid == event->pid)
			break;
	for (bool more = wanted; more;) {
		struct identity_news *news = take_first(identities);

		more = news != wanted;
		know(identities, news->identity);
		free(news);
	}
	pthread_mutex_unlock(&identities->lock);
}

bool identities_change(struct identities *identities, const struct event *event)
{
	if (event->kind == EVENT_EXIT)
		return thread_table_find(identities->known, event->tid);
	return (event->kind == EVENT_ATTACH || event->kind == EVENT_FORK || event->kind == EVENT_EXEC) && event->tid == event->pid;
}

void identities_follow(struct identities *identities, const struct event *event)
{
	forget(identities, event->tid);
	if (event->kind != EVENT_EXIT)
		take_up(identities, event);
}

bool identities_find(struct identities *identities, pid_t pid, struct process_info *ret_info)
{
	struct identity **known = identities->known ? thread_table_find(identities->known, (uint32_t)pid) : NULL;

	if (known)
		*ret_info = (*known)->info;
	return known;
}

static void free_known(void *data, uint32_t pid, void *record)
{
	identity_unref(*(struct identity **)record);
}

void identities_done(struct identities *identities)
{
	while (identities->news) {
		struct identity_news *news = take_first(identities);

		identity_unref(news->identity);
		free(news);
	}
	if (identities->known)
		thread_table_each(identities->known, free_known, NULL);
	identities->known = thread_table_free(identities->known);
	pthread_mutex_destroy(&identities->lock);
}
