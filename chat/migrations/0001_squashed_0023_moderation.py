"""What the migrations up to 0023_moderation leave, in one: an empty database takes these, an older one goes on with them."""

import accounts.lib.ids
import chat.models.presets
import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    replaces = [
        ('chat', '0001_initial'),
        ('chat', '0002_recordings'),
        ('chat', '0003_plans_and_usage'),
        ('chat', '0004_operate_run'),
        ('chat', '0005_run_trace'),
        ('chat', '0006_talked_over'),
        ('chat', '0007_run_endpoint'),
        ('chat', '0008_staff_lists'),
        ('chat', '0009_recordings_in_progress'),
        ('chat', '0010_pins_and_temporary'),
        ('chat', '0011_kept_audio'),
        ('chat', '0012_presets'),
        ('chat', '0013_run_finish'),
        ('chat', '0014_unrendered_messages'),
        ('chat', '0015_reasoning'),
        ('chat', '0016_known_models'),
        ('chat', '0017_run_upstream_model'),
        ('chat', '0018_windows_and_summaries'),
        ('chat', '0019_continued_answers'),
        ('chat', '0020_parameters_and_instructions'),
        ('chat', '0021_own_presets_and_prompts'),
        ('chat', '0022_comparisons'),
        ('chat', '0023_moderation'),
    ]

    initial = True

    dependencies = [
        ('accounts', '0012_usage_purpose'),
        ('auth', '0012_alter_user_first_name_max_length'),
    ]

    operations = [
        migrations.CreateModel(
            name='Preset',
            fields=[
                ('id', models.UUIDField(default=accounts.lib.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=80)),
                ('description', models.CharField(blank=True, help_text='Shown to users with the name.', max_length=200)),
                ('system_prompt', models.TextField(blank=True, help_text='Sent to the model before the conversation. Empty: the SYSTEM_PROMPT setting.', validators=[django.core.validators.MaxLengthValidator(20000)])),
                ('model', models.CharField(blank=True, help_text='Empty: the server default.', max_length=200)),
                ('temperature', models.FloatField(blank=True, help_text="0 to 2. Empty: the model's default. Ignored by models that do not support it.", null=True, validators=[django.core.validators.MinValueValidator(0), django.core.validators.MaxValueValidator(2)])),
                ('max_tokens', models.PositiveIntegerField(blank=True, help_text="Per answer. Empty: the model's limit.", null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(1000000)], verbose_name='max output tokens')),
                ('enabled', models.BooleanField(default=True, help_text='Users can choose this preset.')),
                ('position', models.PositiveIntegerField(default=10, help_text='Presets are listed in ascending order.')),
                ('groups', models.ManyToManyField(blank=True, help_text='Groups that can choose this preset. None: everyone.', related_name='+', to='auth.group')),
                ('disabled_by_staff', models.BooleanField(db_default=False, default=False, help_text='Nobody can choose it, and its owner cannot enable it.')),
                ('effort', models.CharField(blank=True, choices=[('none', 'None'), ('low', 'Low'), ('medium', 'Medium'), ('high', 'High')], db_default='', default='', help_text="How much the model thinks. Empty: the model's default. Ignored by models that do not support it.", max_length=6)),
                ('owner', models.ForeignKey(blank=True, db_index=False, editable=False, help_text='The user who made it. None: staff.', null=True, on_delete=django.db.models.deletion.CASCADE, related_name='presets', to=settings.AUTH_USER_MODEL)),
                ('starters', models.JSONField(blank=True, db_default=[], default=list, help_text='Short prompts that are shown as buttons in an empty conversation with this preset.', validators=[chat.models.presets.check_starters])),
            ],
            options={
                'ordering': ('position', 'name'),
                'constraints': [models.CheckConstraint(condition=models.Q(('temperature', None), ('temperature__range', (0, 2)), _connector='OR'), name='preset_temperature_sane'), models.CheckConstraint(condition=models.Q(('max_tokens', None), ('max_tokens__gte', 1), _connector='OR'), name='preset_tokens_sane'), models.UniqueConstraint(condition=models.Q(('owner', None)), fields=('name',), name='preset_name_once', violation_error_message='Preset with this Name already exists.'), models.UniqueConstraint(fields=('owner', 'name'), name='preset_name_once_per_owner', violation_error_message='You already have a preset with this name.'), models.CheckConstraint(condition=models.Q(('effort__in', ['', 'none', 'low', 'medium', 'high'])), name='preset_effort_known')],
                'permissions': (('share_preset', 'Can share own presets and prompts with groups'),),
            },
        ),
        migrations.CreateModel(
            name='ModelChoice',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('model', models.CharField(max_length=200)),
                ('chosen_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('user', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='model_choice', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='FavouriteModel',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('model', models.CharField(max_length=200)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('user', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='favourite_models', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('user', 'model'), name='favourite_model_once')],
            },
        ),
        migrations.CreateModel(
            name='KnownModel',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(help_text='The name that the endpoint uses.', max_length=200, unique=True)),
                ('label', models.CharField(blank=True, help_text='The name that users see. Empty: the last part of the name.', max_length=200)),
                ('visibility', models.CharField(blank=True, choices=[('', 'automatic: offered if it is for chatting'), ('shown', 'offered, whatever its list or its name says'), ('hidden', 'hidden from everyone')], default='', max_length=8)),
                ('sees', models.BooleanField(blank=True, help_text='Unknown: what the endpoint says.', null=True, verbose_name='sees images')),
                ('thinks', models.BooleanField(blank=True, help_text='Unknown: what the endpoint says.', null=True, verbose_name='thinks')),
                ('tools', models.BooleanField(blank=True, help_text='Unknown: what the endpoint says.', null=True, verbose_name='calls tools')),
                ('limited', models.BooleanField(default=False, help_text='Only members of the groups below can use this model.', verbose_name='only for groups')),
                ('endpoint', models.CharField(blank=True, editable=False, help_text='Where it was listed last.', max_length=80)),
                ('reason', models.CharField(blank=True, editable=False, help_text='Why its endpoint does not offer it. Empty: it does.', max_length=200)),
                ('seen_at', models.DateTimeField(editable=False, help_text='When it was listed last, to the hour.', null=True)),
                ('default_groups', models.ManyToManyField(blank=True, help_text='New conversations of members of these groups start with this model.', related_name='+', to='auth.group', verbose_name='default of groups')),
                ('default_plans', models.ManyToManyField(blank=True, help_text='The same for users with these plans, unless a group of theirs has a default.', related_name='+', to='accounts.plan', verbose_name='default of plans')),
                ('groups', models.ManyToManyField(blank=True, related_name='+', to='auth.group')),
            ],
            options={
                'verbose_name': 'model',
                'ordering': ('name',),
                'constraints': [models.CheckConstraint(condition=models.Q(('visibility__in', ['', 'shown', 'hidden'])), name='known_model_visibility')],
            },
        ),
        migrations.CreateModel(
            name='Instructions',
            fields=[
                ('user', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='instructions', serialize=False, to=settings.AUTH_USER_MODEL)),
                ('text', models.CharField(blank=True, max_length=4000)),
                ('enabled', models.BooleanField(default=True)),
                ('updated_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
            ],
            options={
                'verbose_name_plural': 'instructions',
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='Prompt',
            fields=[
                ('id', models.UUIDField(default=accounts.lib.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(help_text='Typed after a slash: letters, digits, hyphens and underscores.', max_length=60, validators=[django.core.validators.RegexValidator('\\A[\\w-]+\\Z', 'Only letters, digits, hyphens and underscores.')])),
                ('title', models.CharField(blank=True, help_text='Shown with the name.', max_length=120)),
                ('text', models.TextField(help_text='{{variable}} or {{variable|default}} is asked for; {{date}} and {{time}} are filled in.', validators=[django.core.validators.MaxLengthValidator(20000)])),
                ('disabled_by_staff', models.BooleanField(default=False, help_text='Nobody can use it.')),
                ('updated_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('groups', models.ManyToManyField(blank=True, help_text='Groups that can use this prompt. None: everyone.', related_name='+', to='auth.group')),
                ('owner', models.ForeignKey(blank=True, db_index=False, editable=False, help_text='The user who made it. None: staff.', null=True, on_delete=django.db.models.deletion.CASCADE, related_name='prompts', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ('name',),
                'constraints': [models.UniqueConstraint(condition=models.Q(('owner', None)), fields=('name',), name='prompt_name_once', violation_error_message='Prompt with this Name already exists.'), models.UniqueConstraint(fields=('owner', 'name'), name='prompt_name_once_per_owner', violation_error_message='You already have a prompt with this name.')],
            },
        ),
        migrations.CreateModel(
            name='ModerationRule',
            fields=[
                ('id', models.UUIDField(default=accounts.lib.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=80, unique=True)),
                ('enabled', models.BooleanField(default=False, help_text='In force within 5 seconds, on all servers.')),
                ('action', models.CharField(choices=[('flag', 'Flag – shown as it is; a case opens'), ('mask', 'Mask – the hit is replaced'), ('hold', 'Hold – it waits for a reviewer'), ('block', 'Block – refused')], default='flag', max_length=8)),
                ('category', models.CharField(choices=[('harassment', 'Harassment'), ('hate', 'Hate'), ('illicit', 'Illicit behaviour'), ('self-harm', 'Self-harm'), ('sexual', 'Sexual content'), ('sexual/minors', 'Sexual content about minors'), ('violence', 'Violence'), ('profanity', 'Profanity'), ('personal', 'Personal data and secrets'), ('spam', 'Spam'), ('other', 'Other')], default='other', max_length=16)),
                ('severity', models.PositiveSmallIntegerField(choices=[(1, 'Low'), (2, 'Medium'), (3, 'High'), (4, 'Critical')], default=2, help_text='Orders the review queue.')),
                ('directions', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(choices=[('asked', 'What people write'), ('answered', 'What models answer'), ('spoken', 'What people say'), ('named', 'Names and titles'), ('files', 'Files')], max_length=8), default=list, help_text='Where the rule is in force.', size=None)),
                ('words', models.TextField(blank=True, help_text="One word or phrase a line, found as whole words, whatever their case and accents, with the endings of the rule's language.", validators=[django.core.validators.MaxLengthValidator(100000)])),
                ('disguised', models.BooleanField(default=False, help_text='Also find spaced, stretched and digit-spelled forms. At most 300 words; wrong now and then.', verbose_name='find disguised words')),
                ('patterns', models.TextField(blank=True, help_text='One regular expression a line (RE2 syntax), without regard to case.', validators=[django.core.validators.MaxLengthValidator(100000)])),
                ('pii', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=16), blank=True, default=list, size=None, verbose_name='personal data')),
                ('locale', models.CharField(blank=True, default='en', help_text='Such as "en" or "de-CH": endings of words, telephone and national numbers. Empty: any.', max_length=10, verbose_name='language')),
                ('only_models', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=200), blank=True, default=list, help_text='Only with these models. None: all.', size=None)),
                ('notice', models.CharField(blank=True, help_text='What the person reads. Empty: a general sentence about the action.', max_length=300)),
                ('source', models.CharField(blank=True, help_text='Where the words come from, and their licence.', max_length=300)),
                ('version', models.PositiveIntegerField(default=1, editable=False)),
                ('changed_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('groups', models.ManyToManyField(blank=True, help_text='Only for members of these groups. None: everyone.', related_name='+', to='auth.group')),
                ('plans', models.ManyToManyField(blank=True, help_text='Only for people on these plans. None: everyone.', related_name='+', to='accounts.plan')),
            ],
            options={
                'ordering': ('name',),
                'constraints': [models.CheckConstraint(condition=models.Q(('directions__len__gte', 1)), name='moderation_rule_somewhere')],
            },
        ),
        migrations.CreateModel(
            name='Conversation',
            fields=[
                ('id', models.UUIDField(default=accounts.lib.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('title', models.CharField(blank=True, max_length=200)),
                ('model', models.CharField(blank=True, help_text='The model for the next answer. Empty: the server default.', max_length=200)),
                ('system_prompt', models.TextField(blank=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('updated_at', models.DateTimeField(db_index=True, default=django.utils.timezone.now)),
                ('deleted_at', models.DateTimeField(blank=True, null=True)),
                ('pinned_at', models.DateTimeField(blank=True, help_text="Pinned: at the top of its members' lists, and never deleted for its age.", null=True)),
                ('temporary', models.BooleanField(db_default=False, default=False, help_text='Not listed, and deleted after some hours. Set when the conversation starts.')),
                ('max_tokens', models.PositiveIntegerField(blank=True, help_text='In tokens.', null=True, verbose_name='longest answer')),
                ('temperature', models.FloatField(blank=True, null=True)),
                ('preset', models.ForeignKey(blank=True, db_index=False, help_text='The preset it started with. Its values were copied to this conversation.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='chat.preset')),
                ('effort', models.CharField(blank=True, choices=[('none', 'None'), ('low', 'Low'), ('medium', 'Medium'), ('high', 'High')], db_default='', default='', help_text='How much the model should think. Empty: its default.', max_length=6)),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('deleted_at__isnull', False)), fields=['deleted_at'], name='conversation_trash'), models.Index(condition=models.Q(('temporary', True)), fields=['updated_at'], name='conversation_temporary'), models.Index(condition=models.Q(('preset__isnull', False)), fields=['preset'], name='conversation_preset')],
                'constraints': [models.CheckConstraint(condition=models.Q(('temporary', False), ('pinned_at', None), _connector='OR'), name='conversation_temporary_or_pinned'), models.CheckConstraint(condition=models.Q(('temperature', None), ('temperature__range', (0, 2)), _connector='OR'), name='conversation_temperature_sane'), models.CheckConstraint(condition=models.Q(('max_tokens', None), ('max_tokens__gte', 1), _connector='OR'), name='conversation_tokens_sane'), models.CheckConstraint(condition=models.Q(('effort__in', ['', 'none', 'low', 'medium', 'high'])), name='conversation_effort_known')],
            },
        ),
        migrations.CreateModel(
            name='Member',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('role', models.CharField(choices=[('owner', 'Owner'), ('editor', 'Editor'), ('viewer', 'Viewer')], default='editor', max_length=10)),
                ('joined_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('conversation', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='memberships', to='chat.conversation')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='memberships', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('user', 'conversation'), name='member_once'), models.CheckConstraint(condition=models.Q(('role__in', ['owner', 'editor', 'viewer'])), name='member_role_known')],
            },
        ),
        migrations.AddField(
            model_name='conversation',
            name='members',
            field=models.ManyToManyField(related_name='conversations', through='chat.Member', to=settings.AUTH_USER_MODEL),
        ),
        migrations.CreateModel(
            name='Message',
            fields=[
                ('id', models.UUIDField(default=accounts.lib.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('role', models.CharField(choices=[('user', 'User'), ('assistant', 'Assistant')], max_length=10)),
                ('text', models.TextField(blank=True)),
                ('html', models.TextField(blank=True, help_text='The finished answer, rendered and sanitised.')),
                ('status', models.CharField(choices=[('pending', 'Pending'), ('streaming', 'Streaming'), ('complete', 'Complete'), ('stopped', 'Stopped'), ('failed', 'Failed'), ('interrupted', 'Interrupted')], default='complete', max_length=12)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('author', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='messages', to=settings.AUTH_USER_MODEL)),
                ('conversation', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='messages', to='chat.conversation')),
                ('parent', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='children', to='chat.message')),
                ('moderation', models.JSONField(db_default=models.Value({}, models.JSONField()), default=dict, editable=False)),
            ],
            options={
                'permissions': (('read_message_body', 'Can read message text'),),
                'indexes': [models.Index(fields=['conversation', 'created_at'], name='message_by_time'), models.Index(condition=models.Q(('html', ''), ('role', 'assistant'), models.Q(('text', ''), _negated=True), models.Q(('status__in', ('pending', 'streaming')), _negated=True)), fields=['id'], name='message_unrendered')],
                'constraints': [models.CheckConstraint(condition=models.Q(('role__in', ['user', 'assistant'])), name='message_role_known'), models.CheckConstraint(condition=models.Q(('status__in', ['pending', 'streaming', 'complete', 'stopped', 'failed', 'interrupted'])), name='message_status_known'), models.CheckConstraint(condition=models.Q(models.Q(('role', 'user'), ('status', 'complete')), models.Q(('author__isnull', True), ('role', 'assistant')), _connector='OR'), name='message_fits_role'), models.CheckConstraint(condition=models.Q(('parent', models.F('id')), _negated=True), name='message_not_own_parent')],
            },
        ),
        migrations.AddField(
            model_name='conversation',
            name='tip',
            field=models.ForeignKey(blank=True, help_text='The newest message. A message sent without a parent is added below it.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='chat.message'),
        ),
        migrations.CreateModel(
            name='Run',
            fields=[
                ('id', models.UUIDField(default=accounts.lib.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('model', models.CharField(max_length=200)),
                ('status', models.CharField(choices=[('waiting', 'Waiting'), ('queued', 'Queued'), ('running', 'Running'), ('done', 'Done'), ('stopped', 'Stopped'), ('failed', 'Failed'), ('interrupted', 'Interrupted')], default='queued', max_length=12)),
                ('attempt', models.PositiveIntegerField(default=0)),
                ('lease_owner', models.CharField(blank=True, max_length=120)),
                ('lease_expires_at', models.DateTimeField(blank=True, null=True)),
                ('enqueued_at', models.DateTimeField(blank=True, help_text='When the job was last published to the broker.', null=True)),
                ('stop_requested_at', models.DateTimeField(blank=True, null=True)),
                ('checkpoint_epoch', models.CharField(blank=True, max_length=32)),
                ('checkpoint_seq', models.BigIntegerField(default=0)),
                ('ended_in_log', models.BooleanField(default=False, help_text="The closing event has reached the conversation's event log.")),
                ('error_code', models.CharField(blank=True, max_length=40)),
                ('error_message', models.TextField(blank=True)),
                ('input_tokens', models.PositiveIntegerField(blank=True, null=True)),
                ('output_tokens', models.PositiveIntegerField(blank=True, null=True)),
                ('usage_estimated', models.BooleanField(default=False)),
                ('queued_ms', models.PositiveIntegerField(blank=True, null=True)),
                ('first_token_ms', models.PositiveIntegerField(blank=True, help_text='To the first text of the answer; thinking before it is part of that time.', null=True)),
                ('total_ms', models.PositiveIntegerField(blank=True, null=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('started_at', models.DateTimeField(blank=True, null=True)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('conversation', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='runs', to='chat.conversation')),
                ('message', models.ForeignKey(db_index=False, help_text='The answer.', on_delete=django.db.models.deletion.CASCADE, related_name='runs', to='chat.message')),
                ('prompt', models.ForeignKey(help_text="The user's message.", on_delete=django.db.models.deletion.CASCADE, related_name='answer_runs', to='chat.message')),
                ('requested_by', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='runs', to=settings.AUTH_USER_MODEL)),
                ('cost', models.DecimalField(blank=True, decimal_places=9, help_text='Empty: no usage, or no price.', max_digits=24, null=True)),
                ('trace_id', models.CharField(blank=True, db_default='', default='', help_text="Identifies the run's log lines and its trace.", max_length=32)),
                ('heard_chars', models.PositiveIntegerField(blank=True, help_text='After a barge-in: how many characters of the answer were kept.', null=True)),
                ('produced_chars', models.PositiveIntegerField(blank=True, help_text='After a barge-in: how many characters had been generated.', null=True)),
                ('endpoint', models.CharField(blank=True, db_default='', default='', help_text='Host of the endpoint that answered.', max_length=200)),
                ('finish', models.CharField(blank=True, choices=[('stop', 'finished'), ('length', 'length limit reached'), ('filtered', "cut by the provider's content filter"), ('tool_limit', 'tool limit reached')], db_default='', default='', help_text='How a complete answer ended. Empty: there is none.', max_length=10)),
                ('upstream_request', models.CharField(blank=True, db_default='', default='', max_length=100, verbose_name="the provider's request id")),
                ('upstream_said', models.TextField(blank=True, db_default='', default='', help_text="Why it failed, in the provider's own words, with secrets masked.", verbose_name='the provider said')),
                ('usage_implausible', models.BooleanField(db_default=False, default=False, help_text='The provider reported numbers that cannot be right.')),
                ('effort', models.CharField(blank=True, choices=[('none', 'None'), ('low', 'Low'), ('medium', 'Medium'), ('high', 'High')], db_default='', default='', help_text='How much the model should think for this answer alone. Empty: as the conversation says.', max_length=6)),
                ('first_reasoning_ms', models.PositiveIntegerField(blank=True, help_text='To the first of the thinking. Empty: there was none.', null=True)),
                ('reasoning_chars', models.PositiveIntegerField(db_default=0, default=0, help_text='Length of the stored thinking.')),
                ('reasoning_ms', models.PositiveIntegerField(db_default=0, default=0, help_text='How long the model thought.')),
                ('reasoning_tokens', models.PositiveIntegerField(db_default=0, default=0, help_text='Part of the output tokens: what the model thought.')),
                ('upstream_model', models.CharField(blank=True, db_default='', default='', help_text="Who answered, in the provider's words: a router or an alias may choose another model.", max_length=200, verbose_name="the provider's model")),
                ('context_dropped', models.PositiveIntegerField(db_default=0, default=0, help_text='Older messages that were left out of the request.')),
                ('context_window', models.PositiveIntegerField(blank=True, help_text='Of the model, in tokens. Empty: not known.', null=True)),
                ('base_chars', models.PositiveIntegerField(db_default=0, default=0, help_text='How many characters of the answer were there before this run.')),
                ('latest', models.BooleanField(db_default=True, default=True, help_text='No later run continues its answer.')),
                ('part', models.PositiveSmallIntegerField(db_default=1, default=1, help_text='1: the answer began with it. More: it continues the answer.')),
                ('parameters', models.JSONField(db_default=models.Value({}, models.JSONField()), default=dict, editable=False)),
                ('slot', models.PositiveSmallIntegerField(db_default=0, default=0, help_text='Its place among answers side by side, from 1. 0: it is not one of several.')),
                ('waiting_for', models.CharField(blank=True, choices=[('moderation', 'a reviewer'), ('approval', 'an approval')], db_default='', default='', max_length=10)),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('status', 'running')), fields=['lease_expires_at'], name='run_leases'), models.Index(condition=models.Q(('status', 'queued')), fields=['enqueued_at'], name='run_queue'), models.Index(condition=models.Q(('ended_in_log', False), ('finished_at__isnull', False)), fields=['finished_at'], name='run_unclosed'), models.Index(fields=['-created_at'], name='run_newest'), models.Index(fields=['requested_by', '-created_at'], name='run_by_user'), models.Index(fields=['model', '-created_at'], name='run_by_model'), models.Index(condition=models.Q(('status', 'done'), _negated=True), fields=['status', '-created_at'], name='run_not_done'), models.Index(condition=models.Q(('status__in', ('failed', 'interrupted'))), fields=['-created_at'], name='run_failed'), models.Index(condition=models.Q(('error_code', ''), _negated=True), fields=['error_code', '-created_at'], name='run_by_error'), models.Index(condition=models.Q(('first_token_ms__gte', 5000)), fields=['-created_at'], name='run_slow'), models.Index(condition=models.Q(('status__in', ('waiting', 'queued', 'running'))), fields=['requested_by'], name='run_under_way')],
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('status', 'running'), _negated=True), models.Q(('attempt__gte', 1), ('lease_expires_at__isnull', False)), _connector='OR'), name='run_running_has_lease'), models.UniqueConstraint(fields=('message', 'part'), name='run_part_once'), models.CheckConstraint(condition=models.Q(('status__in', ['waiting', 'queued', 'running', 'done', 'stopped', 'failed', 'interrupted'])), name='run_status_known'), models.UniqueConstraint(condition=models.Q(('status__in', ('waiting', 'queued', 'running'))), fields=('prompt', 'slot'), name='run_one_active_per_branch'), models.CheckConstraint(condition=models.Q(models.Q(('enqueued_at__isnull', True), ('status', 'waiting'), models.Q(('waiting_for', ''), _negated=True)), models.Q(models.Q(('status', 'waiting'), _negated=True), ('waiting_for', '')), _connector='OR'), name='run_waits_for_something'), models.CheckConstraint(condition=models.Q(models.Q(('finished_at__isnull', True), ('status__in', ('waiting', 'queued', 'running'))), models.Q(models.Q(('status__in', ('waiting', 'queued', 'running')), _negated=True), ('finished_at__isnull', False)), _connector='OR'), name='run_finished_when_ended')],
                'permissions': (('operate_run', "Can stop and retry other users' runs"),),
            },
        ),
        migrations.CreateModel(
            name='Submission',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('client_id', models.UUIDField()),
                ('fingerprint', models.BinaryField(help_text="SHA-256 of the command's body.", max_length=32)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('conversation', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='submissions', to='chat.conversation')),
                ('message', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='chat.message')),
                ('run', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='chat.run')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='submissions', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('user', 'client_id'), name='submission_once')],
            },
        ),
        migrations.CreateModel(
            name='Recording',
            fields=[
                ('id', models.UUIDField(default=accounts.lib.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('client_id', models.UUIDField()),
                ('language', models.CharField(max_length=35)),
                ('mode', models.CharField(max_length=12)),
                ('auto_send', models.BooleanField(default=False)),
                ('status', models.CharField(choices=[('starting', 'Starting'), ('listening', 'Listening'), ('done', 'Done'), ('cancelled', 'Cancelled'), ('failed', 'Failed')], default='starting', max_length=10)),
                ('reason', models.CharField(blank=True, help_text='Why it ended.', max_length=40)),
                ('backend', models.CharField(blank=True, max_length=40)),
                ('audio_ms', models.PositiveIntegerField(default=0)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('conversation', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='recordings', to='chat.conversation')),
                ('user', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='recordings', to=settings.AUTH_USER_MODEL)),
                ('audio', models.FileField(blank=True, help_text="Stored if the user's plan says so.", max_length=200, upload_to='')),
            ],
            options={
                'indexes': [models.Index(fields=['user', '-created_at'], name='recording_newest'), models.Index(fields=['-created_at'], name='recording_by_time'), models.Index(condition=models.Q(('status__in', ('done', 'cancelled')), _negated=True), fields=['status', '-created_at'], name='recording_not_done'), models.Index(condition=models.Q(('finished_at', None)), fields=['created_at'], name='recording_in_progress')],
                'constraints': [models.UniqueConstraint(fields=('user', 'client_id'), name='recording_once'), models.CheckConstraint(condition=models.Q(('status__in', ['starting', 'listening', 'done', 'cancelled', 'failed'])), name='recording_status_known')],
            },
        ),
        migrations.CreateModel(
            name='Utterance',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField()),
                ('text', models.TextField(blank=True)),
                ('start_ms', models.PositiveIntegerField()),
                ('end_ms', models.PositiveIntegerField()),
                ('confidence', models.FloatField(blank=True, null=True)),
                ('message', models.ForeignKey(blank=True, help_text='The message created from it, when it was sent automatically.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='utterances', to='chat.message')),
                ('recording', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='utterances', to='chat.recording')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('recording', 'number'), name='utterance_once')],
            },
        ),
        migrations.CreateModel(
            name='Reasoning',
            fields=[
                ('run', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='reasoning', serialize=False, to='chat.run')),
                ('text', models.TextField()),
            ],
        ),
        migrations.CreateModel(
            name='Summary',
            fields=[
                ('id', models.UUIDField(default=accounts.lib.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('messages', models.PositiveIntegerField(help_text='How many messages it covers.')),
                ('text', models.TextField()),
                ('model', models.CharField(max_length=200)),
                ('used', models.BooleanField(default=True, help_text='Models get it. If not, a member undid it, and no other is made on its branches.')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('conversation', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='summaries', to='chat.conversation')),
                ('last', models.OneToOneField(help_text='The newest message that it covers.', on_delete=django.db.models.deletion.CASCADE, related_name='summary', to='chat.message')),
            ],
            options={
                'verbose_name_plural': 'summaries',
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='Comparison',
            fields=[
                ('prompt', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='comparison', serialize=False, to='chat.message')),
                ('size', models.PositiveSmallIntegerField(help_text='How many models answer. Their places count from 1.')),
                ('chosen', models.ForeignKey(blank=True, help_text='The answer that the conversation goes on with. Empty: none is chosen yet.', null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='chat.message')),
            ],
            options={
                'default_permissions': (),
                'constraints': [models.CheckConstraint(condition=models.Q(('size__range', (2, 4))), name='comparison_size_sane')],
            },
        ),
        migrations.CreateModel(
            name='ModerationCase',
            fields=[
                ('id', models.UUIDField(default=accounts.lib.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('target', models.CharField(choices=[('message', 'Message'), ('refused', 'Refused message'), ('title', 'Title of a conversation'), ('name', 'Name of a person'), ('preset', 'Preset'), ('file', 'File')], max_length=8)),
                ('target_id', models.UUIDField()),
                ('direction', models.CharField(choices=[('asked', 'What people write'), ('answered', 'What models answer'), ('spoken', 'What people say'), ('named', 'Names and titles'), ('files', 'Files')], max_length=8)),
                ('origin', models.CharField(choices=[('rule', 'Rule'), ('judge', 'Judge'), ('report', 'Report by a person')], max_length=6)),
                ('action', models.CharField(choices=[('flag', 'Flag – shown as it is; a case opens'), ('mask', 'Mask – the hit is replaced'), ('hold', 'Hold – it waits for a reviewer'), ('block', 'Block – refused')], help_text='What happened at once.', max_length=8)),
                ('category', models.CharField(choices=[('harassment', 'Harassment'), ('hate', 'Hate'), ('illicit', 'Illicit behaviour'), ('self-harm', 'Self-harm'), ('sexual', 'Sexual content'), ('sexual/minors', 'Sexual content about minors'), ('violence', 'Violence'), ('profanity', 'Profanity'), ('personal', 'Personal data and secrets'), ('spam', 'Spam'), ('other', 'Other')], default='other', max_length=16)),
                ('severity', models.PositiveSmallIntegerField(choices=[(1, 'Low'), (2, 'Medium'), (3, 'High'), (4, 'Critical')], default=2)),
                ('status', models.CharField(choices=[('open', 'Open'), ('claimed', 'Claimed'), ('decided', 'Decided'), ('appealed', 'Appealed')], default='open', max_length=8)),
                ('rules', models.JSONField(default=list, help_text='Rules with their versions and the places that they found.')),
                ('original', models.TextField(blank=True)),
                ('notice', models.CharField(blank=True, help_text='What the person was told.', max_length=300)),
                ('appeal', models.TextField(blank=True, help_text='What the person says against the decision.')),
                ('appealed_at', models.DateTimeField(blank=True, null=True)),
                ('claimed_at', models.DateTimeField(blank=True, null=True)),
                ('opened_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('decided_at', models.DateTimeField(blank=True, null=True)),
                ('claimed_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('conversation', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='chat.conversation')),
                ('person', models.ForeignKey(blank=True, help_text='Whose text it is, or whose question was answered.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ('-opened_at',),
                'permissions': (('read_case', 'Can read the texts of cases'), ('decide_case', 'Can decide cases')),
                'indexes': [models.Index(models.OrderBy(models.F('severity'), descending=True), models.F('opened_at'), condition=models.Q(('status', 'decided'), _negated=True), name='moderation_queue'), models.Index(fields=['person', '-opened_at'], name='moderation_case_person')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('status', 'decided'), _negated=True), fields=('target', 'target_id'), name='moderation_case_one_open')],
            },
        ),
        migrations.CreateModel(
            name='ModerationDecision',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('release', 'Release – it is shown as it was'), ('mask', 'Mask – the hits stay replaced'), ('delete', 'Delete – the text is removed'), ('warn', 'Warn the person'), ('suspend', 'Suspend the account for a time'), ('block', 'Block the account')], max_length=8)),
                ('note', models.CharField(blank=True, max_length=1000)),
                ('until', models.DateTimeField(blank=True, help_text='The end of a suspension.', null=True)),
                ('decided_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('case', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='decisions', to='chat.moderationcase')),
                ('decided_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ('decided_at',),
                'default_permissions': ('view',),
            },
        ),
        migrations.CreateModel(
            name='ModerationReport',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('reason', models.CharField(choices=[('harmful', 'Harmful or dangerous'), ('harassment', 'Harassment or hate'), ('sexual', 'Sexual content'), ('personal', 'Personal data'), ('spam', 'Spam'), ('wrong', 'Wrong or misleading'), ('other', 'Something else')], max_length=10)),
                ('note', models.CharField(blank=True, max_length=1000)),
                ('reported_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('case', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='reports', to='chat.moderationcase')),
                ('reporter', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'default_permissions': ('view',),
                'constraints': [models.UniqueConstraint(fields=('case', 'reporter'), name='moderation_report_once')],
            },
        ),
        # A summary says what messages said. When one of them is blanked or masked, it goes. Cheap for a checkpoint of an
        # answer in progress: the condition is evaluated without a call.
        migrations.RunSQL(
            sql="""
                CREATE FUNCTION chat_summary_drop() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    DELETE FROM chat_summary s USING chat_message l
                    WHERE s.conversation_id = NEW.conversation_id AND l.id = s.last_id
                        AND l.created_at >= NEW.created_at;
                    RETURN NULL;
                END $$;
                CREATE TRIGGER chat_message_drops_summary AFTER UPDATE OF text ON chat_message FOR EACH ROW
                    WHEN (OLD.status NOT IN ('pending', 'streaming') AND OLD.text IS DISTINCT FROM NEW.text)
                    EXECUTE FUNCTION chat_summary_drop();
            """,
            reverse_sql="""
                DROP TRIGGER chat_message_drops_summary ON chat_message;
                DROP FUNCTION chat_summary_drop();
            """,
        ),
    ]
