// The page of who is here.

import * as look from "../shared/look.js";
import { byId } from "../shared/dom.js";
import { showPeople } from "../shared/people.js";

look.begin();
showPeople(byId("people"));
