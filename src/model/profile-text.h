/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A profile as text: one line a gram, in a stable order, so that two versions can be compared in a version control system
 * and reviewed. doc/profile-format.md describes it.
 */
#ifndef IMSAFE_MODEL_PROFILE_TEXT_H
#define IMSAFE_MODEL_PROFILE_TEXT_H

#include <stdio.h>

#include "model/profile.h"

/* sessions: also the kept sessions, which only calibration needs. Errors of out are the caller's to look for. */
int profile_export(struct profile *profile, bool sessions, FILE *out, struct errmsg *err);

/* Makes a new profile at path from such a text, from anywhere; name is the text's, for messages. -EEXIST if path exists. */
int profile_import(const char *path, FILE *in, const char *name, struct errmsg *err);

#endif
