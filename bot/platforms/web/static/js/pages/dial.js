// The page of the dial. What stands behind the # of its address is the text to begin with.

import { chat, decoded, openedFrom } from "../shared/address.js";
import { DialView } from "../shared/dialview.js";
import { byId } from "../shared/dom.js";
import * as look from "../shared/look.js";

look.begin();
byId("home").href = chat();
new DialView(byId("dial"), {
  text: decoded(location.hash.slice(1)) || "The cat sat on the",
  room: openedFrom(),
});
