/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* imsafe profile tune. */
#ifndef IMSAFE_CLI_PROFILE_TUNE_H
#define IMSAFE_CLI_PROFILE_TUNE_H

struct verb;
extern const struct verb verb_profile_tune;

#endif
