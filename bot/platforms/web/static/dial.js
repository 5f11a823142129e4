// The page of the dial. What stands behind the # of its address is the text to begin with.

import { DialView } from "./dialview.js";
import { byId } from "./dom.js";
import * as look from "./look.js";
import { t, translatePage } from "./words.js";

translatePage();
document.title = `${t("The temperature dial")} · Tempera`;
look.begin();
new DialView(byId("dial"), { text: decodeURIComponent(location.hash.slice(1)) || "The cat sat on the" });
