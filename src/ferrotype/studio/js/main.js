// The studio's start: the bar, signing in, the stream of events, then the page.

import { onUnauthorized } from "studio/lib/api.js";
import { startEvents } from "studio/lib/events.js";
import { startRouter } from "studio/lib/router.js";
import { askForKey, readSession } from "studio/behaviours/sign-in.js";
import { fillBar, readBalance } from "studio/behaviours/bar.js";
import { watchConnection } from "studio/behaviours/connection.js";
import { startShortcuts } from "studio/behaviours/shortcuts.js";

onUnauthorized(askForKey);
fillBar();
startShortcuts();
watchConnection();

const session = await readSession();
if (session && !session.signed_in) await askForKey();
startEvents();
readBalance();
startRouter();
