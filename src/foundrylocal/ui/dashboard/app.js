// The entry of the dashboard: preferences, the shell, and the connection that feeds it.

import { stayConnected } from './core/live.js';
import { applyTheme } from './core/preferences.js';
import './parts/shell.js';

applyTheme();
stayConnected();
